//! Fan-out: from a topic to the connections that watch it, with every packet encoded once and writes joined.
