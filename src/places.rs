// SPDX-License-Identifier: GPL-2.0

//! Lists that keep the order in which entries were added, and of which any entry is taken out in constant time.
//!
//! An entry knows its place. What is taken out leaves a gap, so that the others keep their order and their places; once
//! there are more gaps than entries they are closed.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

use crate::net::vector::Vector;

/// An entry of a list.
pub(crate) trait Placed {
    /// Its place, which belongs to the list that it is in.
    fn place(&self) -> &Atomic<u32>;
}

/// A list. Whoever may change it has it locked.
pub(crate) struct Places<T: Placed> {
    /// By place; gaps are `None`.
    places: Vector<Option<T>>,
    /// How many of them are gaps.
    gaps: usize,
}

impl<T: Placed> Places<T> {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self {
            places: Vector::new(),
            gaps: 0,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len().saturating_sub(self.gaps)
    }

    /// The first entry at `place` or behind it, and its place goes there; `None` if there is none.
    pub(crate) fn next(&self, place: &mut usize) -> Option<&T> {
        loop {
            match self.places.get(*place)? {
                Some(entry) => return Some(entry),
                None => *place = place.saturating_add(1),
            }
        }
    }

    /// What is at `place`.
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    /// The entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    /// Makes room for one more entry, if need be by closing gaps. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; nothing has changed then.
    pub(crate) fn reserve_one(&mut self) -> Result {
        if let Err(e) = self.places.reserve_one() {
            if self.gaps == 0 {
                return Err(e);
            }
            self.close_gaps();
        }
        Ok(())
    }

    /// Adds an entry, which knows its new place then, at the end. It succeeds without memory if there is a gap. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the entry is dropped, and nothing has changed.
    pub(crate) fn add(&mut self, entry: T) -> Result {
        self.reserve_one()?;
        let place = u32::try_from(self.places.len()).map_err(|_| ENOMEM)?;
        entry.place().store(place, Relaxed);
        // There is room.
        self.places.push(Some(entry))
    }

    /// Takes out what is at `place`.
    pub(crate) fn remove(&mut self, place: u32) -> Option<T> {
        let entry = self.vacate(place);
        self.limit_gaps();
        entry
    }

    /// As [`Places::remove`], but all others keep their places.
    pub(crate) fn vacate(&mut self, place: u32) -> Option<T> {
        let entry = self.places.get_mut(place as usize)?.take()?;
        self.gaps = self.gaps.saturating_add(1);
        Some(entry)
    }

    /// Undoes [`Places::vacate`], if only such calls have been made since.
    pub(crate) fn put_back(&mut self, place: u32, entry: T) {
        if let Some(gap @ None) = self.places.get_mut(place as usize) {
            entry.place().store(place, Relaxed);
            *gap = Some(entry);
            self.gaps = self.gaps.saturating_sub(1);
        }
    }

    /// Closes the gaps if there are more of them than entries.
    pub(crate) fn limit_gaps(&mut self) {
        if self.gaps > self.places.len() / 2 {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        let mut next = 0u32;
        self.places.retain(|entry| match entry {
            Some(entry) => {
                entry.place().store(next, Relaxed);
                next = next.wrapping_add(1);
                true
            }
            None => false,
        });
        self.gaps = 0;
    }
}
