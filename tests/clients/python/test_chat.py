"""python-socketio against the real server: S-083 to S-100, over each way it can connect."""

import os
import queue
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import requests
import socketio

PATIENCE = 10


class Server:
    """The server binary on a directory of its own."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="chatterbox-python-")
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": "0",
            "DATA_DIR": str(Path(self.directory.name) / "data"),
            "RATE_LIMIT_API": "0",
            "RATE_LIMIT_AUTH": "0",
            "LOG_LEVEL": "warn",
        }
        self.process = subprocess.Popen(
            [os.environ["CHATTERBOX_SERVER"]],
            cwd=self.directory.name,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if found := re.search(r"http://[^\s,]+\d", line):
                self.url = found[0]
                return
        raise RuntimeError("the server ended without saying where it listens")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.directory.cleanup()

    def register(self, name):
        body = {"username": name, "email": f"{name}@example.com", "password": "correct horse battery"}
        answer = requests.post(f"{self.url}/api/auth/register", json=body, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()


class Person:
    """A logged-in socket that keeps what it hears."""

    def __init__(self, server, name, transports):
        self.account = server.register(name)
        self.heard = queue.Queue()
        self.client = socketio.Client(reconnection=False)
        self.client.on("*", lambda event, *arguments: self.heard.put((event, *arguments)))
        self.client.connect(server.url, transports=transports)
        ack = self.asks("auth", {"token": self.account["accessToken"]})
        assert ack["ok"], ack

    def asks(self, event, payload):
        return self.client.call(event, payload, timeout=PATIENCE)

    def hears(self, event):
        while True:
            name, *arguments = self.heard.get(timeout=PATIENCE)
            if name == event:
                return arguments[0]


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def two_people_chat(self, tag, transports):
        ann = Person(self.server, f"ann{tag}", transports)
        bob = Person(self.server, f"bob{tag}", transports)
        for person in (ann, bob):
            self.assertTrue(person.asks("join-room", {"roomName": "general"})["ok"])
        message = {"roomName": "general", "content": "hello 👋", "clientMessageId": tag}
        sent = ann.asks("send-room-message", message)
        self.assertTrue(sent["ok"], sent)
        self.assertFalse(sent["duplicate"])
        for person in (ann, bob):
            heard = person.hears("room-message")
            self.assertEqual(heard["id"], sent["message"]["id"])
            self.assertEqual(heard["content"], "hello 👋")
        self.assertEqual(ann.asks("send-room-message", message), {**sent, "duplicate": True})
        refused = bob.asks("send-room-message", {"roomName": "general", "content": {"$gt": ""}})
        self.assertEqual(refused["error"]["code"], "VALIDATION")
        ann.client.disconnect()
        bob.client.disconnect()

    def test_polling_only(self):
        self.two_people_chat("polling", ["polling"])

    def test_websocket_only(self):
        self.two_people_chat("websocket", ["websocket"])

    def test_polling_with_upgrade(self):
        self.two_people_chat("upgrade", ["polling", "websocket"])

    def test_the_token_may_come_in_the_connect_payload(self):
        account = self.server.register("connecter")
        greeted = queue.Queue()
        client = socketio.Client(reconnection=False)
        client.on("authenticated", greeted.put)
        client.connect(self.server.url, auth={"token": account["accessToken"]})
        self.assertEqual(greeted.get(timeout=PATIENCE)["user"]["id"], account["user"]["id"])
        client.disconnect()
        refused = socketio.Client(reconnection=False)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            refused.connect(self.server.url, auth={"token": "not a token"})


if __name__ == "__main__":
    unittest.main()
