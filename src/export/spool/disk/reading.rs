//! Reading segments: the oldest record's head, its body when it is asked for, and what is torn on the way.

use super::super::record::{Head, Record, Tally, unpack};
use super::directory::read;
use super::segment::{Segment, record_at, search};
use super::{Disk, MARKED};
use rustix::io::Errno;

impl Disk {
    /// The head of the oldest record. What is torn before it is passed over, and added to `torn`.
    pub(in super::super) fn front(&mut self, torn: &mut Tally) -> Option<Head> {
        while self.ahead.is_none() {
            self.segments.front()?;
            match self.look_ahead() {
                Ok(true) => {}
                // The rest is torn, or can't be read.
                Ok(false) | Err(_) => torn.add(self.drop_first()),
            }
        }
        self.ahead
    }

    /// The oldest record, if its body is whole. It is the one of the last `front`.
    pub(in super::super) fn read(&mut self) -> Option<Record> {
        let (head, segment) = (self.ahead?, self.segments.front()?);
        let body = read(self.first.as_ref()?, segment.at + Head::SIZE as u64, head.length as usize).ok()?;
        unpack(&head, &body)
    }

    /// Is done with the oldest record: that of the last `front`.
    pub(in super::super) fn advance(&mut self) {
        let (Some(head), Some(segment)) = (self.ahead.take(), self.segments.front_mut()) else { return };
        segment.advance(&head);
        self.tally.take(head.tally());
        if segment.left.records == 0 {
            self.drop_first();
            return;
        }
        self.unmarked += 1;
        if self.unmarked >= MARKED {
            self.mark();
        }
    }

    /// Removes the first segment; what still waited in it.
    pub(in super::super) fn drop_first(&mut self) -> Tally {
        let Some(segment) = self.segments.pop_front() else { return Tally::default() };
        if self.segments.is_empty() {
            self.last = None;
        }
        (self.first, self.ahead, self.unmarked) = (None, None, 0);
        self.bytes -= segment.size;
        self.tally.take(segment.left);
        self.directory.remove(segment.number);
        segment.left
    }

    /// Finds the next whole head of the first segment; false if there is none.
    fn look_ahead(&mut self) -> Result<bool, Errno> {
        let Some(segment) = self.segments.front_mut().filter(|segment| segment.left.records > 0) else {
            return Ok(false);
        };
        if self.first.is_none() {
            self.first = Some(self.directory.segment(segment.number)?.ok_or(Errno::NOENT)?);
        }
        let Some(file) = &self.first else { return Ok(false) };
        let Segment { at, end, .. } = *segment;
        let (place, head) = match record_at(file, at, end)? {
            Ok(head) => (at, head),
            Err(_) => {
                let Some(place) = search(file, at + 1, end)? else { return Ok(false) };
                let Ok(head) = record_at(file, place, end)? else { return Ok(false) };
                (place, head)
            }
        };
        segment.at = place;
        segment.oldest = (head.boot, head.taken);
        self.ahead = Some(head);
        Ok(true)
    }
}
