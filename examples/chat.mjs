// A chat in a terminal, with the stock Socket.IO client:
//
//   npm install socket.io-client
//   node chat.mjs ann [http://localhost:3000]
//
// Makes the account if there is none, joins the room `general`, sends what you type and prints what others say.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [username, server = "http://localhost:3000"] = process.argv.slice(2);
const password = `the password of ${username}`; // an example's idea of secrecy

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
  return await response.json();
}

async function token() {
  const registered = await post("/api/auth/register", { username, email: `${username}@example.com`, password });
  const account = registered.accessToken ? registered : await post("/api/auth/login", { username, password });
  return account.accessToken;
}

// Asked for at every connect: after a reconnect the old one may have passed its time.
const socket = io(server, { auth: (answer) => token().then((token) => answer({ token })) });

socket.on("room-message", ({ seq, sender, content }) => console.log(`#${seq} ${sender.username}: ${content}`));
socket.on("user-joined-room", ({ user, roomName }) => console.log(`* ${user.username} joined ${roomName}`));
socket.on("authenticated", async ({ user }) => {
  const { room, members } = await socket.emitWithAck("join-room", { roomName: "general" });
  console.log(`* you are ${user.username}, in ${room.name} with ${members} member(s)`);
});
socket.on("connect_error", (error) => console.log(`* ${error.message}`));

createInterface({ input: process.stdin })
  .on("line", async (content) => {
    // The id makes a retry after a lost connection the same message.
    const message = { roomName: "general", content, clientMessageId: crypto.randomUUID() };
    const ack = await socket.timeout(5000).emitWithAck("send-room-message", message);
    if (!ack.ok) console.log(`* ${ack.error.code}: ${ack.error.message}`);
  })
  .on("close", () => socket.close());
