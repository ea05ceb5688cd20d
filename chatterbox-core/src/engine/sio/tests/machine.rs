//! Namespaces, attachments, limits and races.

use std::time::{Duration, Instant};

use super::*;
use crate::engine::CloseReason;

/// PROTOCOL §8 and §9, as captured.
#[test]
fn a_session_as_captured() {
    check(
        r#"
        > 0{"token":"123"}
        = connect / {"token":"123"}
        ! accept / x9vCLFT24Qe_lVxxAAAB
        < 40{"sid":"x9vCLFT24Qe_lVxxAAAB"}
        > 2["message",1,"2",{"3":[true]}]
        = event / message (1 "2" {"3":[true]})
        ! emit / message-back [1,"2",{"3":[true]}]
        < 42["message-back",1,"2",{"3":[true]}]
        > 20["message-with-ack","😀"]
        = event / message-with-ack ("😀") ack 0
        ! ack / 0 ["😀"]
        < 430["😀"]
        > 0/custom,
        = connect /custom
        ! accept /custom y
        < 40/custom,{"sid":"y"}
        > 3/custom,7["q"]
        = ack /custom 7 ("q")
        > 2/custom,["error"]
        = event /custom error ()
        > 1/custom,
        = left /custom
        > 1
        = left /
        "#,
    );
}

#[test]
fn a_namespace_needs_no_comma_and_is_unknown_with_a_query() {
    check(
        r#"
        > 0/custom
        = connect /custom
        > 0/custom?x=1,
        < 44/custom?x=1,{"message":"Invalid namespace"}
        > 0/random
        < 44/random,{"message":"Invalid namespace"}
        ! refuse /custom not authorized
        < 44/custom,{"message":"not authorized"}
        > 0/custom,{}
        = connect /custom {}
        "#,
    );
}

/// PROTOCOL §9: header and attachments are one packet.
#[test]
fn attachments_complete_a_packet() {
    check(
        r#"
        > 0
        = connect /
        ! accept / x
        < 40{"sid":"x"}
        > 52-9["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
        > #0102
        > #03
        = event / message-with-ack ({"_placeholder":true,"num":0} {"_placeholder":true,"num":1} #0102 #03) ack 9
        > 61-0[[{"num":0,"_placeholder":true}]]
        > #
        = ack / 0 ([{"num":0,"_placeholder":true}] #)
        > 51-["unused"]
        > #ff
        = event / unused ( #ff)
        > 2["plain",{"_placeholder":true,"num":0}]
        = event / plain ({"_placeholder":true,"num":0})
        "#,
    );
}

/// PROTOCOL §10: DISCONNECT and CONNECT run in order.
#[test]
fn leaving_and_joining_in_one_breath_is_no_error() {
    check(
        r#"
        > 0
        = connect /
        ! accept / one
        < 40{"sid":"one"}
        > 1
        = left /
        > 0
        = connect /
        ! accept / two
        < 40{"sid":"two"}
        > 2["x"]
        = event / x ()
        "#,
    );
}

/// PROTOCOL §10: an event may come before a slow admission check has answered.
#[test]
fn events_wait_for_the_admission() {
    check(
        r#"
        > 0
        = connect /
        > 2["early",1]
        > 51-["blob",{"_placeholder":true,"num":0}]
        > #07
        > 30["an ack of nothing"]
        ! accept / x
        < 40{"sid":"x"}
        = event / early (1)
        = event / blob ({"_placeholder":true,"num":0} #07)
        ! accept / x
        = too late
        "#,
    );
    check(
        r#"
        > 0
        = connect /
        > 2["early"]
        > 1
        = left /
        ! accept / x
        = too late
        > 0
        = connect /
        ! accept / y
        < 40{"sid":"y"}
        "#,
    );
}

#[test]
fn what_is_held_for_an_admission_is_bounded() {
    for (event, held_max) in [
        ("2[\"x\"]".to_owned(), 16),
        (format!("2[\"x\",\"{}\"]", "y".repeat(40_000)), 2),
    ] {
        let mut game = Game::new(Rules::new(["/"]));
        game.play("> 0");
        for _ in 0..held_max {
            assert!(game.sockets.is_ready());
            assert!(
                game.sockets
                    .handle(Message::Text(event.as_str().into()), game.now)
                    .is_none()
            );
        }
        assert!(!game.sockets.is_ready());
        let over = game
            .sockets
            .handle(Message::Text(event.as_str().into()), game.now);
        assert!(matches!(over, Some(Output::Close(CloseReason::TooLarge))));
    }
}

/// What crossed our goodbye on the way is not held against the client.
#[test]
fn packets_that_crossed_a_disconnect_are_ignored() {
    check(
        r#"
        > 0
        = connect /
        ! accept / x
        < 40{"sid":"x"}
        > 51-["half",{"_placeholder":true,"num":0}]
        ! disconnect /
        < 41
        ! disconnect /
        = too late
        > #01
        > 2["late"]
        > 30["late"]
        > 0
        = connect /
        ! accept / y
        < 40{"sid":"y"}
        ! disconnect /
        < 41
        > 1
        > 2["after the client's own goodbye"]
        = closed: parse error
        > 0
        "#,
    );
    check(
        r#"
        > 0/custom,
        = connect /custom
        ! refuse /custom no
        < 44/custom,{"message":"no"}
        > 2/custom,["late"]
        > 0
        = connect /
        "#,
    );
}

/// PROTOCOL §8, §9, §10, §18 and THREATS B1 to B4, B8: each of them costs the connection, and nothing else.
#[test]
fn whatever_the_protocol_does_not_allow_closes() {
    for wrong in [
        // Packets.
        "",
        " ",
        "a",
        "7",
        "9[\"x\"]",
        "-1",
        "4{\"message\":\"x\"}",
        "4/custom,{}",
        "é",
        // Events.
        "2",
        "2{}",
        "2[]",
        "2[null]",
        "2[{\"toString\":1}]",
        "2[{\"toString\":\"foo\"}]",
        "2[[\"x\"]]",
        "2[true]",
        "2\"x\"",
        "2[",
        "2[\"x\"",
        "2[\"x\",]",
        "2[\"x\"]]",
        "2[\"x\"] 1",
        "2[\"x\",tru]",
        "2[\"x\",01]",
        "2[\"x\",\"\u{1e}\"]",
        "2x[\"x\"]",
        "2-1[\"x\"]",
        "2 1[\"x\"]",
        "29007199254740993[\"x\"]",
        "2[\"connect\"]",
        "2[\"connect_error\"]",
        "2[\"disconnect\"]",
        "2[\"disconnecting\"]",
        "2[\"newListener\"]",
        "2[\"removeListener\"]",
        "2[\"disc\\u006fnnect\"]",
        // Acks.
        "3",
        "3[]",
        "30",
        "30{}",
        "30\"x\"",
        "30null",
        "399999999999999999999[]",
        // Namespaces.
        "0",
        "0{}",
        "01",
        "0[]",
        "0\"x\"",
        "0null",
        "0{",
        "0{}x",
        "00{}",
        "2/custom,[\"x\"]",
        "3/custom,0[]",
        "1/custom,",
        "2/random,[\"x\"]",
        "1/random,",
        "1{}",
        "10",
        "1[]",
        "0/custom,[]",
        "0/cus\u{1}tom,",
        // Attachments: the header alone closes.
        "5[\"x\"]",
        "50-[\"x\"]",
        "511-[\"x\"]",
        "5-[\"x\"]",
        "5-1-[\"x\"]",
        "51.5-[\"x\"]",
        "51e1-[\"x\"]",
        "5 1-[\"x\"]",
        "51000000000-[\"x\"]",
        "51-",
        "51-[]",
        "51-{}",
        "60-0[]",
        "611-0[]",
        "61-[]",
        "51-/custom,[\"x\"]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":\"splice\"}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":-1}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":1}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":null}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":0.5}]",
        "51-[\"x\",{\"_placeholder\":true}]",
        "51-[{\"_placeholder\":true,\"num\":0}]",
        // A binary message of nothing.
        "#",
        "#0102",
    ] {
        let mut game = Game::new(Rules::new(["/", "/custom"]));
        game.play("> 0");
        game.play("! accept / x");
        let output = game.sockets.handle(message(wrong), game.now);
        assert!(
            matches!(output, Some(Output::Close(CloseReason::ParseError))),
            "{wrong}: {output:?}"
        );
        assert!(
            game.sockets.handle(message("2[\"x\"]"), game.now).is_none(),
            "deaf after {wrong}"
        );
        assert_eq!(game.sockets.poll_timeout(), None, "{wrong}");
    }
}

/// Deep JSON, 128 levels being the most.
#[test]
fn depth_is_bounded() {
    for (levels, fine) in [(127, true), (128, false), (10_000, false), (400_000, false)] {
        let mut game = Game::new(Rules::new(["/"]));
        game.play("> 0");
        game.play("! accept / x");
        let deep = format!("2[\"x\",{}{}]", "[".repeat(levels), "]".repeat(levels));
        let output = game.sockets.handle(message(&deep), game.now);
        assert_eq!(matches!(output, Some(Output::Event(_))), fine, "{levels} levels");
        assert_eq!(
            matches!(output, Some(Output::Close(CloseReason::ParseError))),
            !fine,
            "{levels} levels"
        );
    }
}

/// PROTOCOL §10: the first packet is a CONNECT; GHSA-55mf-67qm-4wpg for the binary one.
#[test]
fn nothing_is_taken_before_connect() {
    for first in [
        "2[\"x\"]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "30[]",
        "1",
        "#01",
        "61-0[]",
    ] {
        check(&format!("> {first}\n= closed: parse error\n> 0"));
    }
}

#[test]
fn only_attachments_may_follow_a_binary_header() {
    for (header, next) in [
        ("51-[\"x\"]", "2[\"y\"]"),
        ("52-[\"x\"]", "51-[\"y\"]"),
        ("51-[\"x\"]", "1"),
        ("61-0[]", "0"),
    ] {
        check(&format!(
            "> 0\n= connect /\n! accept / x\n< 40{{\"sid\":\"x\"}}\n> {header}\n> {next}\n= closed: parse error"
        ));
    }
}

/// PROTOCOL §9 and §13: a half packet is bounded in bytes and in time.
#[test]
fn a_half_packet_is_bounded() {
    let rules = || Rules {
        attachment_bytes_max: 4,
        ..Rules::new(["/"])
    };
    let begin = "> 0\n= connect /\n! accept / x\n< 40{\"sid\":\"x\"}\n> 52-[\"x\"]\n";
    check_with(
        rules(),
        &format!("{begin}> #0102\n> #0304\n= event / x ( #0102 #0304)\n! wait 6000"),
    );
    check_with(
        rules(),
        &format!("{begin}> #0102\n> #030405\n= closed: too large"),
    );
    check_with(
        rules(),
        &format!("{begin}> #0102\n! wait 4999\n! wait 1\n= closed: parse error\n> #03"),
    );
}

/// THREATS B7: a flood of namespaces.
#[test]
fn unknown_namespaces_are_answered_a_bounded_number_of_times() {
    let mut game = Game::new(Rules::new(["/"]));
    for index in 0..64 {
        let output = game.sockets.handle(message(&format!("0/{index},")), game.now);
        assert!(matches!(output, Some(Output::Send(_))), "{index}");
    }
    let output = game.sockets.handle(message("0/64,"), game.now);
    assert!(matches!(output, Some(Output::Close(CloseReason::Abuse))));
}

/// PROTOCOL §8: what JavaScript writes and serde_json refuses.
#[test]
fn odd_json_of_javascript_passes() {
    check(
        r#"
        > 0 { "a" : [ ] }
        = connect / { "a" : [ ] }
        ! accept / x
        < 40{"sid":"x"}
        > 2 [ "cut" , "\ud83d", 1e400 , 9007199254740993, {"b":1,"a":2,"b":3} ]
        = event / cut ("\ufffd" 1e400 9007199254740993 {"b":1,"a":2,"b":3})
        > 2["\ud83d"]
        = event / � ()
        > 2[1]
        = event / 1 ()
        > 2["with \"quotes\""]
        = event / with "quotes" ()
        > 2["__proto__",{"__proto__":1}]
        = event / __proto__ ({"__proto__":1})
        "#,
    );
}

/// Linear, or this would take hours: CVE-2020-36049 and its relatives.
#[test]
fn a_megabyte_of_anything_is_settled_in_linear_time() {
    let mb = 1_000_000;
    for text in [
        format!("2{}", "1".repeat(mb)),
        format!("2{}[\"x\"]", "0".repeat(mb)),
        format!("5{}", "1".repeat(mb)),
        format!("2[\"x\",{}1]", "1,".repeat(mb / 2)),
        format!("2[\"x\",\"{}\"]", "\\ud83d".repeat(mb / 6)),
        format!("2[\"x\",{}1]", "{},".repeat(mb / 3)),
        format!(
            "51-[\"x\",{}1]",
            "{\"_placeholder\":true,\"num\":0},".repeat(mb / 30)
        ),
        format!("51-[\"x\",{}1]", "[],".repeat(mb / 3)),
        format!("0/{}", "x".repeat(mb)),
        format!("2[\"{}\"]", "\\n".repeat(mb / 2)),
    ] {
        let began = Instant::now();
        let mut game = Game::new(Rules::new(["/"]));
        game.play("> 0");
        game.play("! accept / x");
        game.sockets.handle(Message::Text(text.as_str().into()), game.now);
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:.40} took {:?}",
            text,
            began.elapsed()
        );
    }
}

/// The chat's budget per idle connection is 4 KiB in all.
#[test]
fn the_machine_is_small() {
    assert!(size_of::<Sockets>() <= 64, "{} bytes", size_of::<Sockets>());
}
