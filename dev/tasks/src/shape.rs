//! `cargo xtask shape`: the structure of the operator's source, in figures to compare before and
//! after a change.

use anyhow::Result;
use keyloan_shape::{SMALL, Shape};

use crate::workspace;

/// The number of the longest functions and files that are shown.
const SHOWN: usize = 10;

/// Prints the shape.
#[allow(clippy::print_stdout, reason = "this is what the command is for")]
pub fn run() -> Result<()> {
    let shape = Shape::read(&workspace::folder().join("src"), "keyloan")?;
    let rooms = shape.rooms();
    println!("room           files  under {SMALL} lines  lines of code");
    for (name, room) in &rooms {
        let (files, small, lines) = (room.files, room.small, room.lines);
        println!("{name:<14} {files:>5}  {small:>15}  {lines:>13}");
    }
    let sum = |count: fn(&keyloan_shape::Room) -> usize| rooms.values().map(count).sum::<usize>();
    let (files, small, lines) = (sum(|r| r.files), sum(|r| r.small), sum(|r| r.lines));
    println!("{:<14} {files:>5}  {small:>15}  {lines:>13}", "all");

    let circles = shape.circles();
    println!(
        "\nFiles that know each other in a circle: {}",
        circles.len()
    );
    for circle in &circles {
        let files: Vec<_> = circle.iter().map(String::as_str).collect();
        println!("{:>4}  {}", files.len(), files.join(" "));
    }

    println!("\nThe longest functions, in lines:");
    let functions = shape.files.iter().flat_map(|(path, file)| {
        let functions = file.functions.iter();
        functions.map(move |function| (function.lines, path, function.line, &function.name))
    });
    let mut functions: Vec<_> = functions.collect();
    functions.sort_by(|one, other| other.cmp(one));
    for (lines, path, line, name) in functions.into_iter().take(SHOWN) {
        println!("{lines:>4}  {name}, src/{path}:{line}");
    }

    println!("\nThe longest files, in lines, tests included:");
    let mut files: Vec<_> = shape.files.iter().collect();
    files.sort_by_key(|(_, file)| usize::MAX - file.lines);
    for (path, file) in files.into_iter().take(SHOWN) {
        println!("{:>4}  src/{path}", file.lines);
    }
    Ok(())
}
