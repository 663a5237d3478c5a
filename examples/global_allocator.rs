//! A program whose allocator is hakmem: these two lines are all.

#[global_allocator]
static ALLOCATOR: hakmem::Hakmem = hakmem::Hakmem;

fn main() {
    let words: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    println!(
        "{} bytes, allocated by `{}`",
        words.concat().len(),
        <hakmem::Hakmem as hakmem::Observe>::ID
    );
}
