//! The host of the core: any sequence of what a core may do to it, beside a simple model of memory.
//! Nothing panics, no access leaves a block, and no request leaves for another origin.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyloan::onepassword::core::fuzzing::{Guest, Network, wait};
use keyloan::onepassword::{NoAnswer, Origin, Outcome, Route};
use libfuzzer_sys::fuzz_target;

const MEMORY: usize = 1 << 16;

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Network::new().expect("a client")
});

/// Takes bytes off the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A small number, an edge, or any.
    fn number(&mut self) -> Option<i64> {
        Some(match self.byte()? {
            small @ 0..=199 => small.into(),
            200..=239 => i64::from(self.byte()?) * 256,
            240 => i64::MAX,
            241 => i64::MIN,
            242 => -1,
            _ => {
                let (number, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                i64::from_le_bytes(*number)
            }
        })
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?) * 4;
        let (text, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(text)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes(data);
    let mut input = bytes.text().unwrap_or_default();
    let origin = Origin::parse("https://my.1password.com").expect("an origin");
    let mut guest = Guest::new(&NETWORK, origin, MEMORY, input);
    let mut model: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
    while play(&mut bytes, &mut input, &mut guest, &mut model).is_some() {}
    for exchange in guest.exchanges() {
        assert!(!exchange.was_sent(), "{exchange:?}");
        if exchange.outcome == Outcome::Silent(NoAnswer::Foreign) {
            continue;
        }
        assert_eq!(exchange.outcome, Outcome::Silent(NoAnswer::TooLate));
    }
});

fn play(
    bytes: &mut Bytes<'_>,
    input: &mut &[u8],
    guest: &mut Guest,
    model: &mut BTreeMap<i64, Vec<u8>>,
) -> Option<()> {
    match bytes.byte()? % 12 {
        0 => {
            let length = bytes.number()?;
            if let Ok(offset) = guest.alloc(length)
                && offset != 0
            {
                let block = vec![0; usize::try_from(length).expect("within the heap")];
                assert!(disjoint(model, offset, block.len()), "blocks overlap");
                model.insert(offset, block);
                let used: usize = model.values().map(Vec::len).sum();
                assert!(used <= MEMORY, "{used} bytes");
            }
        }
        1 => {
            let offset = bytes.number()?;
            guest.free(offset);
            model.remove(&offset);
        }
        2 => {
            let offset = bytes.number()?;
            let length = model.get(&offset).map_or(0, Vec::len);
            assert_eq!(guest.length(offset), length as i64);
        }
        3 => {
            let offset = bytes.number()?;
            let known = range(model, offset, 8);
            assert_eq!(guest.load(offset).ok().map(Vec::from), known);
        }
        4 => {
            let offset = bytes.number()?;
            let known = range(model, offset, 1);
            assert_eq!(guest.load_byte(offset).ok().map(|byte| vec![byte]), known);
        }
        5 => {
            let (offset, byte) = (bytes.number()?, bytes.byte()?);
            let stored = guest.store(offset, byte).is_ok();
            assert_eq!(stored, range(model, offset, 1).is_some());
            if let (true, Some((start, block))) = (stored, model.range_mut(..=offset).next_back()) {
                block[(offset - start) as usize] = byte;
            }
        }
        6 => {
            let offset = bytes.number()?;
            let known = usize::try_from(offset).ok();
            let known = known.and_then(|start| input.get(start..)?.first_chunk::<8>());
            assert_eq!(guest.input(offset).ok().as_ref(), known);
        }
        7 => {
            let length = i32::from(bytes.byte()?) - 8;
            if let Ok(offset) = guest.random(length) {
                let block = whole(guest, offset);
                assert_eq!(block.len() as i32, length);
                model.insert(offset, block);
            }
        }
        8 => {
            let text = bytes.text()?;
            let request = put(guest, model, text)?;
            let body = bytes.number()?;
            if let Ok(answer) = guest.request(request, body) {
                assert_eq!(answer, 0, "there is no answer");
                let headers = guest.headers();
                model.insert(headers, whole(guest, headers));
            }
        }
        9 => {
            let (offset, length) = (bytes.number()?, bytes.number()?);
            let count = usize::try_from(length).ok();
            let known = match count {
                Some(0) => Some(Vec::new()),
                Some(count) => range(model, offset, count),
                None => None,
            };
            assert_eq!(guest.output(offset, length).ok(), known);
            guest.reset();
            model.clear();
            *input = &[];
        }
        10 => {
            let offset = bytes.number()?;
            let known = model.get(&offset).cloned().unwrap_or_default();
            assert_eq!(guest.complaint(offset), known);
        }
        _ => {
            let seconds = wait(bytes.text()?, bytes.text()?);
            assert!(seconds.is_none_or(|seconds| (5..=86_400).contains(&seconds)));
            let (method, path) = (bytes.text()?, bytes.text()?);
            let text = String::from_utf8_lossy;
            Route::of(&text(method), &text(path)).template();
        }
    }
    Some(())
}

fn put(guest: &mut Guest, model: &mut BTreeMap<i64, Vec<u8>>, text: &[u8]) -> Option<i64> {
    let offset = guest.alloc(text.len() as i64).ok()?;
    for (at, byte) in text.iter().enumerate() {
        guest.store(offset + at as i64, *byte).expect("inside");
    }
    if offset != 0 {
        model.insert(offset, text.to_vec());
    }
    Some(offset)
}

fn whole(guest: &Guest, offset: i64) -> Vec<u8> {
    let length = guest.length(offset);
    let byte = |at| guest.load_byte(offset + at).expect("inside");
    (0..length).map(byte).collect()
}

fn range(model: &BTreeMap<i64, Vec<u8>>, offset: i64, length: usize) -> Option<Vec<u8>> {
    if offset < 0 {
        return None;
    }
    let (start, block) = model.range(..=offset).next_back()?;
    let start = usize::try_from(offset - start).ok()?;
    Some(block.get(start..start.checked_add(length)?)?.to_vec())
}

fn disjoint(model: &BTreeMap<i64, Vec<u8>>, offset: i64, length: usize) -> bool {
    let end = offset + length as i64;
    model
        .iter()
        .all(|(start, block)| end <= *start || *start + block.len() as i64 <= offset)
}
