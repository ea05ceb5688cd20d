#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| chatterbox_core::testkit::fuzz::websocket_reader(data));
