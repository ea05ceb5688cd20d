//! The one connection that listens: made again and again, subscribed to what is wished for, watched by pings.
//!
//! One task owns the wishes and gives the commands, one at a time, so that the last word about a channel is the last
//! command about it. What comes in meanwhile goes to the inbox, which never waits.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chatterbox_core::ids::NodeId;
use chatterbox_core::ports::bus::BusEvent;
use deadpool_redis::redis::aio::{PubSubSink, PubSubStream};
use deadpool_redis::redis::{ErrorKind, Msg, RedisError};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::super::calls::{Failure, Lines};
use super::super::keys::Keys;
use super::super::pool::Listening;
use super::HEADER_BYTES;
use super::inbox::Inbox;
use super::orders::{Order, Orders, Wish};

/// How long each command of a live connection may take.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(1);
/// Pauses between attempts: the first, doubling up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// A connection is asked so often whether it lives: a cut that nobody tells of is found within this and the time of a
/// command.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Channels subscribed to in one command.
const CHANNELS_AT_ONCE: usize = 512;

pub(super) struct Listener {
    keys: Keys,
    listening: Listening,
    lines: Arc<Lines>,
    /// What is to be heard, as Redis knows the channels.
    wanted: HashSet<String>,
    receiver: Receiver,
}

/// Everything that is wanted is subscribed to, after something may have been missed or not.
struct Listens {
    missed: bool,
}

/// Takes in what comes.
struct Receiver {
    node: NodeId,
    keys: Keys,
    inbox: Inbox,
    listens: watch::Sender<bool>,
}

impl Listener {
    pub(super) fn new(
        node: NodeId,
        keys: Keys,
        listening: Listening,
        lines: Arc<Lines>,
        inbox: Inbox,
        listens: watch::Sender<bool>,
    ) -> Listener {
        let receiver = Receiver {
            node,
            keys: keys.clone(),
            inbox,
            listens,
        };
        Listener {
            keys,
            listening,
            lines,
            wanted: HashSet::new(),
            receiver,
        }
    }

    pub(super) async fn run(mut self, mut orders: Orders) {
        let mut pause = FIRST_PAUSE;
        let mut told_away = false;
        // Whether anybody may have missed anything: not before a first wish was turned down.
        let mut missed = false;
        loop {
            let connected = self.connect(&mut orders, &mut missed).await;
            let began = Instant::now();
            let was_connected = connected.is_some();
            if let Some((sink, stream)) = connected {
                self.serve(sink, stream, &mut orders, &mut missed, &mut told_away)
                    .await;
            }
            if orders.is_over() {
                // The bus is not used any more.
                return;
            }
            if was_connected {
                self.receiver.listens.send_replace(false);
                self.lines.suspect();
                missed = true;
                if began.elapsed() > LAST_PAUSE {
                    pause = FIRST_PAUSE;
                }
            }
            if !told_away {
                told_away = true;
                missed = true;
                self.receiver.inbox.put(BusEvent::Disconnected);
            }
            self.turn_down_for(pause, &mut orders, &mut missed).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// A fresh connection, or `None` after a while. Orders are not kept waiting for it.
    async fn connect(
        &mut self,
        orders: &mut Orders,
        missed: &mut bool,
    ) -> Option<(PubSubSink, PubSubStream)> {
        let Listener {
            listening,
            keys,
            wanted,
            receiver,
            ..
        } = self;
        let connecting = timeout(listening.time_max(), async {
            let (mut sink, stream) = listening.client().await?.get_async_pubsub().await?.split();
            // A server that only takes connections has not been reached.
            let _: deadpool_redis::redis::Value = sink.ping().await?;
            Ok::<_, RedisError>((sink, stream))
        });
        tokio::pin!(connecting);
        loop {
            tokio::select! {
                connected = &mut connecting => return match connected {
                    Ok(Ok(halves)) => Some(halves),
                    Ok(Err(error)) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "the bus can't connect to Redis");
                        None
                    }
                    Err(_) => None,
                },
                order = orders.recv() => match order {
                    Some(order) => {
                        turn_down(order, keys, wanted, missed);
                        *missed |= note_spilled(orders, keys, wanted);
                    }
                    None => return None,
                },
                () = receiver.inbox.room() => {
                    receiver.inbox.settle();
                }
            }
        }
    }

    /// Remembers wishes while there is no connection.
    async fn turn_down_for(&mut self, pause: Duration, orders: &mut Orders, missed: &mut bool) {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(order) = orders.recv() => {
                    turn_down(order, &self.keys, &mut self.wanted, missed);
                    *missed |= note_spilled(orders, &self.keys, &mut self.wanted);
                }
                () = self.receiver.inbox.room() => {
                    self.receiver.inbox.settle();
                }
            }
        }
    }

    /// Listens until the connection is lost, or nobody orders any more.
    async fn serve(
        &mut self,
        sink: PubSubSink,
        stream: PubSubStream,
        orders: &mut Orders,
        missed: &mut bool,
        told_away: &mut bool,
    ) {
        let Listener {
            keys,
            lines,
            wanted,
            receiver,
            ..
        } = self;
        // Said by the one who has subscribed to all, put in the inbox by the one who owns it.
        let (say, said) = mpsc::channel(1);
        let command = Commander {
            keys,
            wanted,
            sink,
            say,
        };
        let result = tokio::select! {
            result = command.follow(orders, std::mem::take(missed)) => result,
            () = receiver.take_in(stream, said, told_away, lines) => Err(broken()),
        };
        if let Err(error) = result {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the bus has lost its connection to Redis"
            );
        }
    }
}

fn turn_down(order: Order, keys: &Keys, wanted: &mut HashSet<String>, missed: &mut bool) {
    note(&order, keys, wanted);
    let result = match order.wish {
        Wish::Hear => {
            *missed = true;
            Err(Failure::Away)
        }
        // Nothing is heard any more.
        Wish::Ignore => Ok(()),
    };
    // Whoever asked may be gone.
    let _ = order.done.send(result);
}

/// Takes over what found no place among the orders; whether any of it is to be heard.
fn note_spilled(orders: &mut Orders, keys: &Keys, wanted: &mut HashSet<String>) -> bool {
    let mut hears = false;
    for (channel, wish) in orders.spilled() {
        hears |= wish == Wish::Hear;
        want(keys.channel(&channel), wish, wanted);
    }
    hears
}

fn note(order: &Order, keys: &Keys, wanted: &mut HashSet<String>) {
    want(keys.channel(&order.channel), order.wish, wanted);
}

fn want(channel: String, wish: Wish, wanted: &mut HashSet<String>) {
    match wish {
        Wish::Hear => wanted.insert(channel),
        Wish::Ignore => wanted.remove(&channel),
    };
}

fn broken() -> RedisError {
    RedisError::from((ErrorKind::Io, "the connection was closed"))
}

/// Gives the commands of one connection.
struct Commander<'a> {
    keys: &'a Keys,
    wanted: &'a mut HashSet<String>,
    sink: PubSubSink,
    say: mpsc::Sender<Listens>,
}

impl Commander<'_> {
    async fn follow(mut self, orders: &mut Orders, missed: bool) -> Result<(), RedisError> {
        let all: Vec<String> = self.wanted.iter().cloned().collect();
        for some in all.chunks(CHANNELS_AT_ONCE) {
            within(self.sink.subscribe(some)).await?;
        }
        let _ = self.say.send(Listens { missed }).await;
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = orders.recv_many(&mut batch, CHANNELS_AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.carry_out(&mut batch).await?;
                    self.take_spilled(orders).await?;
                }
                _ = pings.tick() => {
                    let _: deadpool_redis::redis::Value = within(self.sink.ping()).await?;
                }
            }
        }
    }

    /// Carries out all orders with a command for each kind: of each channel the last word counts.
    async fn carry_out(&mut self, batch: &mut Vec<Order>) -> Result<(), RedisError> {
        let mut touched = HashSet::new();
        for order in batch.iter() {
            note(order, self.keys, self.wanted);
            touched.insert(self.keys.channel(&order.channel));
        }
        let (hear, ignore): (Vec<String>, Vec<String>) = touched
            .into_iter()
            .partition(|channel| self.wanted.contains(channel));
        let result = self.turn_to(&hear, &ignore).await;
        for order in batch.drain(..) {
            let answer = match &result {
                Ok(()) => Ok(()),
                Err(_) => Err(Failure::Away),
            };
            let _ = order.done.send(answer);
        }
        result
    }

    async fn turn_to(&mut self, hear: &[String], ignore: &[String]) -> Result<(), RedisError> {
        for some in hear.chunks(CHANNELS_AT_ONCE) {
            within(self.sink.subscribe(some)).await?;
        }
        for some in ignore.chunks(CHANNELS_AT_ONCE) {
            within(self.sink.unsubscribe(some)).await?;
        }
        Ok(())
    }

    /// Does what callers were turned down for, and says so: they may have missed something.
    async fn take_spilled(&mut self, orders: &mut Orders) -> Result<(), RedisError> {
        let (mut hear, mut ignore) = (Vec::new(), Vec::new());
        for (channel, wish) in orders.spilled() {
            let channel = self.keys.channel(&channel);
            want(channel.clone(), wish, self.wanted);
            match wish {
                Wish::Hear => hear.push(channel),
                Wish::Ignore => ignore.push(channel),
            }
        }
        self.turn_to(&hear, &ignore).await?;
        if !hear.is_empty() {
            let _ = self.say.send(Listens { missed: true }).await;
        }
        Ok(())
    }
}

async fn within<T>(command: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    match timeout(COMMAND_TIME_MAX, command).await {
        Ok(result) => result,
        Err(_) => Err(RedisError::from((ErrorKind::Io, "no answer in time"))),
    }
}

impl Receiver {
    /// Takes in until the connection is closed.
    async fn take_in(
        &mut self,
        mut stream: PubSubStream,
        mut said: mpsc::Receiver<Listens>,
        told_away: &mut bool,
        lines: &Lines,
    ) {
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.take_one(&message),
                    None => return,
                },
                Some(Listens { missed }) = said.recv() => {
                    self.listens.send_replace(true);
                    *told_away = false;
                    if missed {
                        lines.counters.bus_reconnected();
                        self.inbox.put(BusEvent::Reconnected);
                    }
                }
                () = self.inbox.room() => {
                    self.inbox.settle();
                }
            }
        }
    }

    fn take_one(&mut self, message: &Msg) {
        let Some((node, payload)) = message.get_payload_bytes().split_at_checked(HEADER_BYTES) else {
            return;
        };
        if node == self.node.as_bytes() {
            return;
        }
        if let Some(channel) = self.keys.channel_of(message.get_channel_name()) {
            self.inbox.put(BusEvent::Message {
                channel: channel.to_owned(),
                payload: Bytes::copy_from_slice(payload),
            });
        }
    }
}
