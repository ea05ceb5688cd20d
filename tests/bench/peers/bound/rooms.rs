//! Who is in which room.

use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Rooms(HashMap<Box<[u8]>, Vec<usize>>);

impl Rooms {
    pub(crate) fn join(&mut self, room: Box<[u8]>, place: usize) {
        let members = self.0.entry(room).or_default();
        if !members.contains(&place) {
            members.push(place);
        }
    }

    pub(crate) fn members(&self, room: &[u8]) -> &[usize] {
        self.0.get(room).map_or(&[], Vec::as_slice)
    }

    /// Looks through all rooms: connections close when the benchmark is over.
    pub(crate) fn leave_all(&mut self, place: usize) {
        for members in self.0.values_mut() {
            members.retain(|&member| member != place);
        }
    }
}
