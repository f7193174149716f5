//! The figures of a check, each beside its aim.

use std::fmt;
use std::time::Duration;

use keyloan_cluster::Memory;

use crate::unpack::Image;

/// The aims: the largest image, in bytes, and the longest start, as a multiple of the other one's.
const MOST_UNPACKED: u64 = 40_000_000;
const MOST_COMPRESSED: u64 = 15_000_000;
const LONGEST_START: f64 = 2.0;

/// The figures of a program.
#[derive(Default)]
pub struct Figures {
    /// The times from each start until it was ready.
    pub starts: Vec<Duration>,
    /// Its memory when it had lent one item.
    pub memory: Memory,
}

/// The figures of a check: of the image, and of the program for this machine's C library.
pub struct Report<'a> {
    /// The image.
    pub image: &'a Image,
    /// The image's own figures, and the other program's if it was run.
    pub figures: &'a [Figures],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "The image ran read-only as an arbitrary user, and lent an item."
        )?;
        let compressed = self.image.compressed as u64;
        size(f, "unpacked", self.image.unpacked, MOST_UNPACKED)?;
        size(f, "compressed", compressed, MOST_COMPRESSED)?;
        let Some(image) = self.figures.first() else {
            return Ok(());
        };
        let Some(other) = self.figures.get(1) else {
            write!(f, "ready after {} ms", median(&image.starts))?;
            return Ok(());
        };
        let (of_image, of_other) = (median(&image.starts), median(&other.starts));
        #[allow(
            clippy::cast_precision_loss,
            reason = "a start takes less than 2^52 ms"
        )]
        let ratio = of_image as f64 / of_other as f64;
        writeln!(
            f,
            "ready after {of_image} ms, with this machine's C library after {of_other} ms (median of {}): {ratio:.2} times, aim {LONGEST_START}: {}",
            image.starts.len(),
            judged(ratio <= LONGEST_START)
        )?;
        write!(
            f,
            "memory after a loan: VmRSS {:.1} MB (RssAnon {:.1}), with this machine's C library {:.1} ({:.1})",
            image.memory.resident,
            image.memory.anonymous,
            other.memory.resident,
            other.memory.anonymous
        )
    }
}

fn size(f: &mut fmt::Formatter<'_>, what: &str, bytes: u64, aim: u64) -> fmt::Result {
    let (is, most) = (megabytes(bytes), megabytes(aim));
    writeln!(f, "{what}: {is} MB, aim {most}: {}", judged(bytes <= aim))
}

fn judged(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

/// Megabytes (10^6 bytes), rounded to a tenth.
fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn median(times: &[Duration]) -> u128 {
    let mut times: Vec<u128> = times.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_beside_its_aim() {
        let image = Image {
            configuration: oci_spec::image::ImageConfiguration::default(),
            compressed: 14_960_000,
            unpacked: 41_000_000,
        };
        let figures = [300, 100].map(|start| Figures {
            starts: [start, 1, 1_000].map(Duration::from_millis).to_vec(),
            memory: Memory::default(),
        });
        let report = Report {
            image: &image,
            figures: &figures,
        };
        let text = report.to_string();
        assert!(
            text.contains("unpacked: 41.0 MB, aim 40.0: NOT MET"),
            "{text}"
        );
        assert!(
            text.contains("compressed: 15.0 MB, aim 15.0: met"),
            "{text}"
        );
        assert!(
            text.contains("after 300 ms") && text.contains("3.00 times, aim 2: NOT MET"),
            "{text}"
        );
    }
}
