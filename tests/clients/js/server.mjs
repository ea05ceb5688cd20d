// The server binary as a child process on a directory of its own, and its REST API as far as the tests need it.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class Server {
  static async start(environment = {}) {
    const server = new Server();
    server.directory = await mkdtemp(join(tmpdir(), "chatterbox-js-"));
    await server.launch(environment);
    return server;
  }

  // Again on the same directory, at the same port.
  async restart() {
    await this.stop("SIGKILL");
    await this.launch({ PORT: new URL(this.url).port });
  }

  async launch(environment) {
    this.child = spawn(process.env.CHATTERBOX_SERVER, [], {
      cwd: this.directory,
      env: {
        PATH: process.env.PATH,
        HOST: "127.0.0.1",
        PORT: "0",
        DATA_DIR: join(this.directory, "data"),
        RATE_LIMIT_API: "0",
        RATE_LIMIT_AUTH: "0",
        LOG_LEVEL: "warn",
        ...environment,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.ended = new Promise((resolve) => this.child.once("exit", (code) => resolve(code)));
    for await (const line of createInterface({ input: this.child.stdout })) {
      const url = line.match(/http:\/\/[^\s,]+\d/);
      if (url) {
        this.url = url[0];
        this.child.stdout.resume();
        return;
      }
    }
    throw new Error("the server ended without saying where it listens");
  }

  async stop(signal) {
    this.child.kill(signal);
    return await this.ended;
  }

  async close() {
    await this.stop("SIGKILL");
    await rm(this.directory, { recursive: true, force: true });
  }

  async request(method, path, { token, body } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text && JSON.parse(text) };
  }

  async register(username) {
    const email = `${username}@example.com`;
    const { status, body } = await this.request("POST", "/api/auth/register", {
      body: { username, email, password: "correct horse battery" },
    });
    if (status !== 201) throw new Error(`register ${username}: ${status} ${JSON.stringify(body)}`);
    return body;
  }
}
