//! Socket.IO v5: packets, binary attachments, namespaces, acks (PROTOCOL.md sections 8 to 11).
