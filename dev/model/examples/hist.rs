use keyloan_model::*;
use stateright::Model;
use std::collections::*;
use std::hash::*;
fn h(x: &impl Hash) -> u64 { let mut s = DefaultHasher::new(); x.hash(&mut s); s.finish() }
fn main() {
    let b: Left = std::env::args().nth(1).unwrap().parse().unwrap();
    let m = Loan::new(b, None);
    let mut seen = HashSet::new();
    let mut q: VecDeque<_> = m.init_states().into();
    for s in &q { seen.insert(h(s)); }
    let mut d: BTreeMap<String, HashSet<u64>> = BTreeMap::new();
    let mut n: BTreeMap<String, usize> = BTreeMap::new();
    let mut a = vec![];
    while let Some(s) = q.pop_front() {
        s.features(&mut |k, v| { d.entry(k.to_owned()).or_default().insert(v); });
        s.categories(&mut |k| { *n.entry(k).or_default() += 1; });
        m.actions(&s, &mut a);
        for x in a.drain(..) {
            if let Some(t) = m.next_state(&s, x) && seen.insert(h(&t)) { q.push_back(t); }
        }
    }
    println!("{} states; memos {:?}", seen.len(), m.memo_sizes());
    for (k, v) in d { println!("{k}: {} distinct", v.len()); }
    let mut n: Vec<_> = n.into_iter().collect(); n.sort_by_key(|x| std::cmp::Reverse(x.1));
    for (k, v) in n.iter().take(60) { println!("{v:>9} {k}"); }
}
