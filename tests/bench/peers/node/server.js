// The reference peer: a socket.io server with the same two events as every other peer.
//
//   join room           -> the socket joins the room
//   say room, content   -> everybody in the room hears `said room, content`
//
// PORT says where to listen. With STORE (a file name) every message is one SQLite transaction before it is
// announced and acknowledged.
import { createServer } from "node:http";
import { Server } from "socket.io";

const save = process.env.STORE ? await openStore(process.env.STORE) : () => {};

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack({ ok: true });
  });
  socket.on("say", (room, content, ack) => {
    save(room, content);
    io.to(room).emit("said", room, content);
    ack({ ok: true });
  });
});

http.listen(Number(process.env.PORT), "127.0.0.1");

async function openStore(file) {
  const { default: Database } = await import("better-sqlite3");
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = NORMAL");
  db.exec("CREATE TABLE message (id INTEGER PRIMARY KEY, room TEXT NOT NULL, content TEXT NOT NULL)");
  const insert = db.prepare("INSERT INTO message (room, content) VALUES (?, ?)");
  return (room, content) => insert.run(room, content);
}
