// S-083 to S-100 through the stock client, over each way it can connect.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";

import { Server } from "./server.mjs";

const PATIENCE_MS = 10_000;

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.close());

// A person with a socket that keeps everything it hears.
class Person {
  static async arrive(name, options) {
    const person = new Person();
    person.account = await server.register(name);
    person.socket = io(server.url, { forceNew: true, ...options });
    person.heard = [];
    person.waiting = [];
    person.socket.onAny((event, payload) => {
      person.heard.push({ event, payload });
      person.waiting = person.waiting.filter((look) => !look());
    });
    await new Promise((resolve, reject) => {
      person.socket.once("connect", resolve);
      person.socket.once("connect_error", reject);
    });
    return person;
  }

  static async member(name, options) {
    const person = await Person.arrive(name, options);
    const ack = await person.asks("auth", { token: person.account.accessToken });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    return person;
  }

  asks(event, payload) {
    return this.socket.timeout(PATIENCE_MS).emitWithAck(event, payload);
  }

  hears(event, matches = () => true) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`did not hear ${event}, but ${JSON.stringify(this.heard)}`));
      }, PATIENCE_MS);
      const look = () => {
        const found = this.heard.find((one) => one.event === event && matches(one.payload));
        if (!found) return false;
        clearTimeout(timer);
        resolve(found.payload);
        return true;
      };
      if (!look()) this.waiting.push(look);
    });
  }

  messages() {
    return this.heard.filter((one) => one.event === "room-message").map((one) => one.payload);
  }
}

const ways = {
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "polling with upgrade": { transports: ["polling", "websocket"] },
};

for (const [way, options] of Object.entries(ways)) {
  describe(way, () => {
    const tag = way.replaceAll(" ", "").slice(0, 9) + (way.includes("upgrade") ? "u" : "");

    test("two people chat in a room", async () => {
      const ann = await Person.member(`ann${tag}`, options);
      const bob = await Person.member(`bob${tag}`, options);
      for (const person of [ann, bob]) {
        const joined = await person.asks("join-room", { roomName: "general" });
        assert.equal(joined.ok, true);
        assert.equal(joined.room.name, "general");
        assert.equal(typeof joined.seq, "number");
      }
      const { user } = await ann.hears("user-joined-room", (it) => it.user.id === bob.account.user.id);
      assert.equal(user.username, bob.account.user.username);

      const clientMessageId = `hello-${tag}`;
      const message = { roomName: "general", content: "hello 👋", clientMessageId };
      const sent = await ann.asks("send-room-message", message);
      assert.equal(sent.ok, true);
      assert.equal(sent.duplicate, false);
      const isIt = (it) => it.clientMessageId === clientMessageId;
      for (const person of [ann, bob]) {
        const heard = await person.hears("room-message", isIt);
        assert.equal(heard.id, sent.message.id);
        assert.equal(heard.seq, sent.message.seq);
        assert.equal(heard.content, "hello 👋");
        assert.equal(heard.sender.id, ann.account.user.id);
      }

      // A retry is answered as the first time and heard by nobody.
      const again = await ann.asks("send-room-message", message);
      assert.deepEqual(again, { ...sent, duplicate: true });
      const left = await bob.asks("leave-room", { roomName: "general" });
      assert.equal(left.ok, true);
      await ann.hears("user-left-room", (it) => it.user.id === bob.account.user.id);
      assert.equal(bob.messages().filter(isIt).length, 1);
      ann.socket.close();
      bob.socket.close();
    });

    test("sends of one socket are acked and heard in order", async () => {
      const eve = await Person.member(`eve${tag}`, options);
      await eve.asks("join-room", { roomName: "tech" });
      const acks = await Promise.all(
        Array.from({ length: 15 }, (_, number) =>
          eve.asks("send-room-message", { roomName: "tech", content: `${tag} ${number}` }),
        ),
      );
      const seqs = acks.map((ack) => ack.message.seq);
      assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
      await eve.hears("room-message", (it) => it.content === `${tag} 14`);
      const mine = eve.messages().filter((it) => it.content.startsWith(tag));
      assert.deepEqual(
        mine.map((it) => it.content),
        seqs.map((_, number) => `${tag} ${number}`),
      );
      eve.socket.close();
    });

    test("events before auth are refused", async () => {
      const mallory = await Person.arrive(`mal${tag}`, options);
      const refused = await mallory.asks("join-room", { roomName: "general" });
      assert.equal(refused.error.code, "UNAUTHENTICATED");
      mallory.socket.emit("send-room-message", { roomName: "general", content: "hi", clientMessageId: "k" });
      const error = await mallory.hears("request-error");
      assert.equal(error.code, "UNAUTHENTICATED");
      assert.equal(error.clientMessageId, "k");
      mallory.socket.close();
    });

    test("a logout ends the socket for good", async () => {
      const zoe = await Person.member(`zoe${tag}`, options);
      const gone = new Promise((resolve) => zoe.socket.once("disconnect", resolve));
      const { refreshToken, accessToken } = zoe.account;
      await server.request("POST", "/api/auth/logout", { token: accessToken, body: { refreshToken } });
      assert.equal((await zoe.hears("session-ended")).reason, "logged-out");
      assert.equal(await gone, "io server disconnect");
      assert.equal(zoe.socket.active, false, "the client does not come back by itself");
    });
  });
}

test("the token may come in the CONNECT payload", async () => {
  const account = await server.register("connecter");
  const socket = io(server.url, { forceNew: true, auth: { token: account.accessToken } });
  const greeted = await new Promise((resolve) => socket.once("authenticated", resolve));
  assert.equal(greeted.user.id, account.user.id);
  socket.close();

  const refused = io(server.url, { forceNew: true, auth: { token: "not a token" } });
  const error = await new Promise((resolve) => refused.once("connect_error", resolve));
  assert.equal(error.data.code, "UNAUTHENTICATED");
  refused.close();
});

test("an upgrade happens and nothing waits for it", async () => {
  const una = await Person.member("una", ways["polling with upgrade"]);
  const { engine } = una.socket.io;
  if (engine.transport.name !== "websocket") {
    await new Promise((resolve) => engine.once("upgrade", resolve));
  }
  assert.equal((await una.asks("heartbeat", {})).ok, true);
  una.socket.close();
});

test("after a crash the client comes back, joins again and retries without doubling", async () => {
  const kim = await Person.member("kim", ways["websocket only"]);
  await kim.asks("join-room", { roomName: "random" });
  const message = { roomName: "random", content: "before the crash", clientMessageId: "crash" };
  const sent = await kim.asks("send-room-message", message);
  const back = new Promise((resolve) => kim.socket.io.once("reconnect", resolve));
  await server.restart();
  await back;
  assert.equal((await kim.asks("auth", { token: kim.account.accessToken })).ok, true);
  assert.equal((await kim.asks("join-room", { roomName: "random" })).seq, sent.message.seq);
  assert.deepEqual(await kim.asks("send-room-message", message), { ...sent, duplicate: true });
  kim.socket.close();
});
