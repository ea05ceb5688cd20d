//! Codec and fan-out: what a message costs before the kernel sees it.

use std::hint::black_box;

use bytes::Bytes;
use chatterbox_core::engine::eio::QueueLimits;
use chatterbox_core::engine::eio::packet::ClientPacket;
use chatterbox_core::engine::eio::payload::{self, Payload};
use chatterbox_core::engine::websocket::{MessageLimits, Reader};
use chatterbox_core::engine::{Frame, Packet};
use chatterbox_core::hub::{Delivery, Detached, Hub};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LIMITS: MessageLimits = MessageLimits {
    bytes_max: 1_000_000,
    fragments_max: 1024,
};

fn codec(criterion: &mut Criterion) {
    let text = format!("42[\"send-message\",{{\"text\":\"{}\"}}]", "x".repeat(100));
    criterion.bench_function("encode a text frame of 128 bytes", |bencher| {
        bencher.iter(|| Frame::text(black_box(&[&text])));
    });

    let mut masked = vec![0x81, 0xFE];
    masked.extend(u16::try_from(text.len()).expect("it is short").to_be_bytes());
    masked.extend([0; 4]);
    masked.extend(text.as_bytes());
    criterion.bench_function("read a masked frame and its packet", |bencher| {
        let mut reader = Reader::default();
        bencher.iter(|| {
            let mut input = black_box(&masked[..]);
            let event = reader.read(&mut input, LIMITS);
            let Ok(Some(chatterbox_core::engine::websocket::Event::Text(bytes))) = event else {
                return None;
            };
            ClientPacket::from_text(&bytes).ok()
        });
    });

    let frames = vec![Frame::text(&[&text]); 100];
    let body = payload::encode(&frames);
    let mut group = criterion.benchmark_group("polling body of 100 packets");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| payload::encode(black_box(&frames)));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Payload::new(black_box(Bytes::clone(&body))).flatten().count());
    });
    group.finish();
}

fn fan_out(criterion: &mut Criterion) {
    for members in [1_u64, 10, 1_000] {
        let hub = Hub::new();
        let connections: Vec<Detached> = (0..members)
            .map(|_| Detached::new(QueueLimits::default()))
            .collect();
        for connection in &connections {
            hub.subscribe(&connection.link(), &0);
        }
        let packet = Packet::from_elem(Frame::text(&["42[\"new-message\",{}]"]), 1);
        let mut group = criterion.benchmark_group("publish and take");
        group.throughput(Throughput::Elements(members));
        group.bench_function(format!("to {members}"), |bencher| {
            bencher.iter(|| {
                hub.publish(&0, black_box(&packet), Delivery::Reliable, None);
                connections
                    .iter()
                    .map(|connection| connection.take_sent().len())
                    .sum::<usize>()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec, fan_out);
criterion_main!(benches);
