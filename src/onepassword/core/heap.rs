//! The host-side heap through which the core and its host exchange data: blocks at offsets,
//! zeroized when freed.

use zeroize::{Zeroize, Zeroizing};

/// Blocks begin at multiples of this, so that an offset of 0 can mean "nothing".
const ALIGNMENT: u64 = 16;

/// The cost of a block besides its bytes: its place in the list, which may have room for twice as
/// many, and the allocator's own overhead.
const OVERHEAD: usize = 128;

/// The core's view of the host: byte blocks, addressed by offsets that are never used twice within one call.
pub(super) struct Heap {
    /// In the order of their offsets.
    blocks: Vec<Block>,
    next: u64,
    /// The cost of the blocks, at most `cap`.
    used: usize,
    cap: usize,
}

struct Block {
    offset: u64,
    bytes: Zeroizing<Vec<u8>>,
}

/// The core touched memory outside its blocks, or requested more than its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeapError {
    #[error("access outside of any block")]
    OutOfBounds,
    #[error("the heap is full")]
    Full,
}

impl Heap {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            blocks: Vec::new(),
            next: ALIGNMENT,
            used: 0,
            cap,
        }
    }

    /// Forgets and overwrites everything.
    pub(super) fn reset(&mut self) {
        self.blocks = Vec::new();
        self.next = ALIGNMENT;
        self.used = 0;
    }

    /// A new block of zeros; 0 for none.
    pub(super) fn alloc(&mut self, length: u64) -> Result<u64, HeapError> {
        let length = self.reserve(length)?;
        Ok(self.place(Zeroizing::new(vec![0; length])))
    }

    /// A new block with this content; 0 if it is empty.
    pub(super) fn put(&mut self, bytes: Zeroizing<Vec<u8>>) -> Result<u64, HeapError> {
        self.reserve(bytes.len() as u64)?;
        Ok(self.place(bytes))
    }

    fn reserve(&mut self, length: u64) -> Result<usize, HeapError> {
        let length = usize::try_from(length).map_err(|_| HeapError::Full)?;
        let used = self
            .used
            .checked_add(cost(length).ok_or(HeapError::Full)?)
            .filter(|used| *used <= self.cap)
            .ok_or(HeapError::Full)?;
        self.used = used;
        Ok(length)
    }

    fn place(&mut self, bytes: Zeroizing<Vec<u8>>) -> u64 {
        if bytes.is_empty() {
            return 0;
        }
        let offset = self.next;
        self.next += (bytes.len() as u64).next_multiple_of(ALIGNMENT);
        self.blocks.push(Block { offset, bytes });
        offset
    }

    /// Frees the block that begins here; other offsets are ignored, as by Extism's own kernel.
    pub(super) fn free(&mut self, offset: u64) {
        if let Ok(index) = self
            .blocks
            .binary_search_by_key(&offset, |block| block.offset)
        {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) -> Zeroizing<Vec<u8>> {
        let Block { bytes, .. } = self.blocks.remove(index);
        self.used -= cost(bytes.len()).unwrap_or_default();
        bytes
    }

    /// The length of the block that begins here; 0 if none does.
    pub(super) fn length(&self, offset: u64) -> u64 {
        let found = self
            .blocks
            .binary_search_by_key(&offset, |block| block.offset);
        found.map_or(0, |index| self.blocks[index].bytes.len() as u64)
    }

    /// The whole block that begins here; empty if none does.
    pub(super) fn block(&self, offset: u64) -> &[u8] {
        let found = self
            .blocks
            .binary_search_by_key(&offset, |block| block.offset);
        found.map_or(&[], |index| &self.blocks[index].bytes)
    }

    /// Takes a range out of the heap; without a copy if it is a whole block.
    pub(super) fn take(
        &mut self,
        offset: u64,
        length: u64,
    ) -> Result<Zeroizing<Vec<u8>>, HeapError> {
        if length == 0 {
            return Ok(Zeroizing::default());
        }
        let (index, range) = self.locate(offset, length)?;
        if range.len() == self.blocks[index].bytes.len() {
            return Ok(self.remove(index));
        }
        Ok(Zeroizing::new(self.blocks[index].bytes[range].to_vec()))
    }

    pub(super) fn load<const N: usize>(&self, offset: u64) -> Result<[u8; N], HeapError> {
        let (index, range) = self.locate(offset, N as u64)?;
        self.blocks[index].bytes[range]
            .try_into()
            .map_err(|_| HeapError::OutOfBounds)
    }

    pub(super) fn store<const N: usize>(
        &mut self,
        offset: u64,
        mut value: [u8; N],
    ) -> Result<(), HeapError> {
        let (index, range) = self.locate(offset, N as u64)?;
        self.blocks[index].bytes[range].copy_from_slice(&value);
        value.zeroize();
        Ok(())
    }

    fn locate(
        &self,
        offset: u64,
        length: u64,
    ) -> Result<(usize, std::ops::Range<usize>), HeapError> {
        let after = self.blocks.partition_point(|block| block.offset <= offset);
        let index = after.checked_sub(1).ok_or(HeapError::OutOfBounds)?;
        let block = &self.blocks[index];
        let start = offset - block.offset;
        let end = start.checked_add(length).ok_or(HeapError::OutOfBounds)?;
        if end > block.bytes.len() as u64 {
            return Err(HeapError::OutOfBounds);
        }
        Ok((index, start as usize..end as usize))
    }
}

/// An empty block is no block.
fn cost(length: usize) -> Option<usize> {
    match length {
        0 => Some(0),
        _ => length.checked_add(OVERHEAD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_loaded_again() {
        let mut heap = Heap::new(1024);
        let (first, second) = (heap.alloc(9).expect("room"), heap.alloc(8).expect("room"));
        heap.store(first + 1, 0x0102_0304_0506_0708_u64.to_le_bytes())
            .expect("inside");
        heap.store(second, [42]).expect("inside");
        assert_eq!(
            u64::from_le_bytes(heap.load(first + 1).expect("inside")),
            0x0102_0304_0506_0708
        );
        assert_eq!(heap.load::<1>(second), Ok([42]));
        assert_eq!(
            (heap.length(first), heap.length(second), heap.length(7)),
            (9, 8, 0)
        );
    }

    #[test]
    fn nothing_outside_of_a_block_can_be_touched() {
        let mut heap = Heap::new(1024);
        let block = heap.alloc(8).expect("room");
        assert_eq!(heap.load::<8>(block + 1), Err(HeapError::OutOfBounds));
        assert_eq!(heap.load::<1>(0), Err(HeapError::OutOfBounds));
        assert_eq!(heap.store(block + 8, [1]), Err(HeapError::OutOfBounds));
        assert_eq!(heap.load::<8>(u64::MAX), Err(HeapError::OutOfBounds));
        assert_eq!(heap.take(block, 9).map(|_| ()), Err(HeapError::OutOfBounds));
        heap.free(block);
        assert_eq!(heap.load::<1>(block), Err(HeapError::OutOfBounds));
    }

    #[test]
    fn the_heap_has_a_cap_and_what_is_freed_counts_no_more() {
        let mut heap = Heap::new(16 + OVERHEAD);
        let block = heap.alloc(16).expect("room");
        assert_eq!(heap.alloc(1), Err(HeapError::Full));
        assert_eq!(heap.alloc(u64::MAX), Err(HeapError::Full));
        heap.free(block);
        let block = heap.alloc(16).expect("room again");
        heap.take(block, 16).expect("a whole block");
        assert!(heap.alloc(16).is_ok());
        heap.reset();
        assert!(heap.alloc(16).is_ok());
    }

    #[test]
    fn small_blocks_count_for_what_they_cost() {
        let mut heap = Heap::new(10 * (1 + OVERHEAD));
        for _ in 0..10 {
            heap.alloc(1).expect("room");
        }
        assert_eq!(heap.alloc(1), Err(HeapError::Full));
        let bytes = Zeroizing::new(vec![1]);
        assert_eq!(heap.put(bytes), Err(HeapError::Full));
        assert_eq!(heap.alloc(0), Ok(0), "which is no block");
    }

    #[test]
    fn an_empty_block_is_no_block() {
        let mut heap = Heap::new(16);
        assert_eq!(
            (heap.alloc(0), heap.put(Zeroizing::default())),
            (Ok(0), Ok(0))
        );
        assert!(heap.block(0).is_empty());
        assert!(heap.take(0, 0).expect("nothing").is_empty());
    }
}
