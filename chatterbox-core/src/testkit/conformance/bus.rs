//! The bus between nodes. It may lose messages; these behaviours are those of one that is not troubled.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Port;
use crate::ports::bus::{Bus, BusEvent, PAYLOAD_BYTES_MAX};

/// One test per behaviour of a [`Bus`]; the argument makes two nodes on a bus of their own.
#[macro_export]
macro_rules! bus_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            bus,
            real_time,
            $make,
            [
                a_subscriber_hears_what_another_node_publishes,
                a_node_does_not_hear_itself,
                a_node_hears_only_the_channels_it_subscribed_to,
                subscribing_twice_is_hearing_once,
                whoever_unsubscribes_hears_no_more,
                payloads_are_any_bytes_up_to_the_bound,
                several_are_heard_in_order,
                events_are_given_out_once,
            ]
        );
    };
}

const TEXT: Bytes = Bytes::from_static(b"hello");
const END: Bytes = Bytes::from_static(b"end");

/// What is heard before the message `END`, which the other node publishes last under a channel of its own.
async fn heard<P: Port<Target: Bus>>(
    listener: &P,
    events: &mut mpsc::Receiver<BusEvent>,
    speaker: &P,
) -> Vec<(String, Bytes)> {
    listener.subscribe("end").await.unwrap();
    speaker.publish("end", END).await.unwrap();
    let mut heard = Vec::new();
    loop {
        match events.recv().await.unwrap() {
            BusEvent::Message { payload, .. } if payload == END => return heard,
            BusEvent::Message { channel, payload } => heard.push((channel, payload)),
            BusEvent::Disconnected | BusEvent::Reconnected => {}
        }
    }
}

/// As soon as `subscribe` has returned.
pub async fn a_subscriber_hears_what_another_node_publishes<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    two.subscribe("news").await.unwrap();
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await, [("news".to_owned(), TEXT)]);
}

/// It has told its own connections already.
pub async fn a_node_does_not_hear_itself<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = one.events().unwrap();
    one.subscribe("news").await.unwrap();
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&one, &mut events, &two).await, []);
}

/// Names are compared as they are, not as patterns.
pub async fn a_node_hears_only_the_channels_it_subscribed_to<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    for channel in ["news", "n*", "new?"] {
        two.subscribe(channel).await.unwrap();
    }
    for channel in ["sport", "New", "newt", "news", "n"] {
        one.publish(channel, TEXT).await.unwrap();
    }
    assert_eq!(heard(&two, &mut events, &one).await, [("news".to_owned(), TEXT)]);
}

/// Idempotent.
pub async fn subscribing_twice_is_hearing_once<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    for _ in 0..2 {
        two.subscribe("news").await.unwrap();
    }
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await.len(), 1);
    two.unsubscribe("news").await.unwrap();
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await, []);
}

/// And may come back.
pub async fn whoever_unsubscribes_hears_no_more<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    two.unsubscribe("news").await.unwrap();
    two.subscribe("news").await.unwrap();
    for _ in 0..2 {
        two.unsubscribe("news").await.unwrap();
    }
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await, []);
    two.subscribe("news").await.unwrap();
    one.publish("news", TEXT).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await.len(), 1);
}

/// Beyond it they are refused.
pub async fn payloads_are_any_bytes_up_to_the_bound<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    two.subscribe("news").await.unwrap();
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    let largest = vec![b'x'; PAYLOAD_BYTES_MAX];
    for payload in [Vec::new(), all_bytes, largest] {
        let payload = Bytes::from(payload);
        one.publish("news", payload.clone()).await.unwrap();
        assert_eq!(
            heard(&two, &mut events, &one).await,
            [("news".to_owned(), payload)]
        );
    }
    let too_large = Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1]);
    one.publish("news", too_large).await.unwrap_err();
    assert_eq!(heard(&two, &mut events, &one).await, []);
}

/// Over all channels of one node that publishes; what is too large is refused without the others.
pub async fn several_are_heard_in_order<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, two] = make().await;
    let mut events = two.events().unwrap();
    let channels = ["news", "sport"];
    for channel in channels {
        two.subscribe(channel).await.unwrap();
    }
    let mut messages: Vec<(String, Bytes)> = (0..200)
        .map(|number: usize| (channels[number % 2].to_owned(), Bytes::from(number.to_string())))
        .collect();
    one.publish_all(messages.clone()).await.unwrap();
    assert_eq!(heard(&two, &mut events, &one).await, messages);
    messages.truncate(2);
    let mut with_one_too_large = messages.clone();
    with_one_too_large.insert(
        1,
        ("news".to_owned(), Bytes::from(vec![b'x'; PAYLOAD_BYTES_MAX + 1])),
    );
    one.publish_all(with_one_too_large).await.unwrap_err();
    assert_eq!(heard(&two, &mut events, &one).await, messages);
}

/// One reader per node.
pub async fn events_are_given_out_once<P>(make: impl AsyncFn() -> [P; 2])
where
    P: Port<Target: Bus>,
{
    let [one, _two] = make().await;
    let first = one.events();
    assert!(first.is_some());
    assert!(one.events().is_none());
    drop(first);
    assert!(one.events().is_none());
}
