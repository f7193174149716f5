//! One listing of an integration's vaults at a time, made to find an item. Callers that want
//! another one meanwhile are notified when it ends, because it may have found their item, too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether a listing is running, and the callers to notify at its end.
#[derive(Default)]
pub struct SingleFlight(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: bool,
    /// By the callers' names.
    waiting: HashMap<String, Box<dyn FnOnce() + Send>>,
}

/// A running listing, until it is dropped.
pub struct UnderWay<'a>(&'a SingleFlight);

impl SingleFlight {
    /// Starts a listing. If one is running, `then` is called after it, once for each name.
    pub fn begin(&self, name: &str, then: impl FnOnce() + Send + 'static) -> Option<UnderWay<'_>> {
        let mut state = self.lock();
        if state.under_way {
            state.waiting.insert(name.to_owned(), Box::new(then));
            return None;
        }
        state.under_way = true;
        Some(UnderWay(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let State { waiting, .. } = std::mem::take(&mut *self.0.lock());
        waiting.into_values().for_each(|then| then());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn whoever_comes_during_a_listing_is_told_of_its_end_once() {
        let (listing, (sender, told)) = (SingleFlight::default(), channel());
        let tell = |name: &'static str| {
            let sender = sender.clone();
            move || sender.send(name).expect("somebody listens")
        };
        let first = listing.begin("a", tell("a"));
        for name in ["b", "b", "c"] {
            assert!(listing.begin(name, tell(name)).is_none());
        }
        assert!(told.try_recv().is_err());
        drop(first.expect("none was under way"));
        let mut names: Vec<_> = told.try_iter().collect();
        names.sort_unstable();
        assert_eq!(names, ["b", "c"]);
        assert!(listing.begin("d", tell("d")).is_some());
    }
}
