//! What is tried: who is connected, who speaks, how often.

use std::time::Duration;

use clap::ValueEnum;

use crate::metric::Metric;
use crate::servers::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// 10 rooms of 100, as fast as the server can.
    BigRooms,
    /// 100 rooms of 10, as fast as the server can.
    SmallRooms,
    /// 60,000 deliveries a second, sent so evenly that no two frames can be written together.
    Paced,
    /// Rooms of one: what a message costs before anybody else hears it.
    Alone,
    /// Rooms of one with many messages under way: how many a store takes.
    Durable,
    /// Connections that come, and then do nothing.
    Idle,
}

pub(crate) struct Scenario {
    pub(crate) name: Name,
    pub(crate) activity: Activity,
    /// The first is the one servers are compared by.
    pub(crate) columns: &'static [Metric],
}

#[derive(Clone, Copy)]
pub(crate) enum Activity {
    Talk(Talk),
    Idle {
        connections: usize,
        /// Rooms a logged-in ChatterBox connection joins; the peers' connections only stand.
        rooms: usize,
    },
}

#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) rooms: usize,
    pub(crate) members: usize,
    /// Members of each room that speak.
    pub(crate) speakers: usize,
    pub(crate) drive: Drive,
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Drive {
    /// Every speaker keeps this many messages under way.
    Saturated { under_way: usize },
    /// All speakers together cause this many deliveries.
    Paced { deliveries_per_s: f64 },
}

/// How large a run is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) warm_up: Duration,
    pub(crate) length: Duration,
    /// Smoke: everything runs, nothing is measured well.
    pub(crate) tiny: bool,
}

impl Size {
    pub(crate) fn full(length: Duration) -> Self {
        Self {
            warm_up: Duration::from_millis(1500),
            length,
            tiny: false,
        }
    }

    pub(crate) fn tiny() -> Self {
        Self {
            warm_up: Duration::from_millis(100),
            length: Duration::from_millis(200),
            tiny: true,
        }
    }
}

impl Scenario {
    pub(crate) fn new(name: Name, size: Size) -> Self {
        Self {
            name,
            activity: activity(name, size),
            columns: columns(name),
        }
    }

    pub(crate) fn title(&self) -> String {
        match self.activity {
            Activity::Idle { connections, rooms } => {
                format!("{connections} idle connections, at ChatterBox logged in and in {rooms} rooms each")
            }
            Activity::Talk(Talk {
                rooms,
                members,
                speakers,
                drive,
                ..
            }) => {
                let who = format!("{rooms} rooms x {members}");
                match drive {
                    Drive::Paced { deliveries_per_s } => {
                        format!("{who}, {deliveries_per_s:.0} deliveries/s, nothing to join")
                    }
                    Drive::Saturated { under_way } => {
                        format!("{who}, saturated: {speakers} speakers a room, {under_way} under way each")
                    }
                }
            }
        }
    }

    /// Whether it says anything about this kind of server.
    pub(crate) fn concerns(&self, kind: Kind) -> bool {
        match self.name {
            Name::BigRooms | Name::SmallRooms | Name::Paced | Name::Alone => true,
            Name::Durable => kind.stores(),
            // A store makes no difference to a connection.
            Name::Idle => !matches!(kind, Kind::SocketioxideSqlite | Kind::NodeSqlite),
        }
    }
}

fn activity(name: Name, size: Size) -> Activity {
    let saturated = |rooms, members: usize, speakers: usize, under_way| {
        let (rooms, members) = if size.tiny {
            (4, members.min(5))
        } else {
            (rooms, members)
        };
        let speakers = speakers.min(members);
        let (warm_up, length) = (size.warm_up, size.length);
        Activity::Talk(Talk {
            rooms,
            members,
            speakers,
            drive: Drive::Saturated { under_way },
            warm_up,
            length,
        })
    };
    match name {
        Name::BigRooms => saturated(10, 100, 8, 1),
        Name::SmallRooms => saturated(100, 10, 4, 1),
        Name::Alone => saturated(100, 1, 1, 1),
        Name::Durable => saturated(64, 1, 1, 8),
        Name::Paced => {
            let (rooms, members, deliveries_per_s) = if size.tiny {
                (4, 5, 1000.0)
            } else {
                (10, 100, 60_000.0)
            };
            let (warm_up, length) = (size.warm_up, size.length);
            let drive = Drive::Paced { deliveries_per_s };
            Activity::Talk(Talk {
                rooms,
                members,
                speakers: members,
                drive,
                warm_up,
                length,
            })
        }
        Name::Idle if size.tiny => Activity::Idle {
            connections: 100,
            rooms: 3,
        },
        Name::Idle => Activity::Idle {
            connections: 5000,
            rooms: 20,
        },
    }
}

fn columns(name: Name) -> &'static [Metric] {
    use Metric::{
        AckP50, AckP99, BytesPerConnection, CpuPerConnect, CpuPerDelivery, CpuPerSend, Deliveries,
        DeliveryP50, DeliveryP99, GeneratorBusy, Sends, ServerCore,
    };
    match name {
        Name::BigRooms | Name::SmallRooms | Name::Paced => &[
            CpuPerDelivery,
            Deliveries,
            DeliveryP50,
            DeliveryP99,
            ServerCore,
            GeneratorBusy,
        ],
        Name::Alone => &[
            CpuPerSend,
            Sends,
            DeliveryP50,
            DeliveryP99,
            ServerCore,
            GeneratorBusy,
        ],
        Name::Durable => &[Sends, CpuPerSend, AckP50, AckP99, ServerCore, GeneratorBusy],
        Name::Idle => &[BytesPerConnection, CpuPerConnect],
    }
}
