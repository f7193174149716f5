//! Circles: groups of files each of which knows all the others, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// The circles of a graph, the largest first.
pub(crate) fn of(knows: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let mut graph = DiGraph::<&str, ()>::new();
    let nodes: BTreeMap<_, _> = knows
        .keys()
        .map(|file| (file, graph.add_node(file)))
        .collect();
    for (file, known) in knows {
        for other in known {
            graph.update_edge(nodes[file], nodes[other], ());
        }
    }
    let together = tarjan_scc(&graph).into_iter().filter(|all| all.len() > 1);
    let mut circles: Vec<BTreeSet<String>> = together
        .map(|all| all.into_iter().map(|node| graph[node].to_owned()).collect())
        .collect();
    circles.sort_by_key(|circle| (usize::MAX - circle.len(), circle.clone()));
    circles
}
