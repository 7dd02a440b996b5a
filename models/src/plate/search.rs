//! The prefixes of a beam search, as a tree: each prefix is a node, and one step of the search adds probability to nodes.

use std::collections::HashMap;

use super::shapes::Automaton;

/// Probability of a prefix's paths, by whether they end in a blank or in its last class.
pub(crate) type Mass = [f64; 2];

/// A prefix, by its number in the tree.
pub(crate) type Prefix = u32;

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: Prefix,
    class: u32,
    length: u32,
    state: u64,
    mass: Mass,
}

/// Prefixes of texts that the shapes allow, with the probability that the present step has given them.
#[derive(Debug)]
pub(crate) struct Trie<'a> {
    automaton: &'a Automaton,
    nodes: Vec<Node>,
    children: HashMap<(Prefix, usize), Option<Prefix>>,
    /// Nodes with probability in the present step.
    touched: Vec<Prefix>,
}

impl<'a> Trie<'a> {
    /// The empty prefix.
    pub(crate) const ROOT: Prefix = 0;

    pub(crate) fn new(automaton: &'a Automaton) -> Self {
        let root = Node { parent: 0, class: u32::MAX, length: 0, state: Automaton::START, mass: [0.0; 2] };
        Self { automaton, nodes: vec![root], children: HashMap::new(), touched: Vec::new() }
    }

    fn node(&self, prefix: Prefix) -> &Node {
        &self.nodes[prefix as usize]
    }

    /// The last class of `prefix`; `None` for the empty one.
    pub(crate) fn last(&self, prefix: Prefix) -> Option<usize> {
        (prefix != Self::ROOT).then(|| self.node(prefix).class as usize)
    }

    /// `prefix` with `class` after it; `None` if no shape allows that.
    pub(crate) fn child(&mut self, prefix: Prefix, class: usize) -> Option<Prefix> {
        let (nodes, automaton) = (&mut self.nodes, self.automaton);
        *self.children.entry((prefix, class)).or_insert_with(|| {
            let parent = nodes[prefix as usize];
            let state = automaton.step(parent.state, parent.length as usize, class);
            (state != 0).then(|| {
                let length = parent.length + 1;
                nodes.push(Node { parent: prefix, class: class as u32, length, state, mass: [0.0; 2] });
                nodes.len() as Prefix - 1
            })
        })
    }

    /// Adds probability to `prefix` in the present step.
    pub(crate) fn add(&mut self, prefix: Prefix, mass: Mass) {
        let node = &mut self.nodes[prefix as usize];
        if node.mass == [0.0; 2] {
            self.touched.push(prefix);
        }
        node.mass[0] += mass[0];
        node.mass[1] += mass[1];
    }

    /// Ends the step: its `width` most probable prefixes, best first, go to `beam`.
    pub(crate) fn take_best(&mut self, width: usize, beam: &mut Vec<(Prefix, Mass)>) {
        beam.clear();
        for prefix in self.touched.drain(..) {
            let node = &mut self.nodes[prefix as usize];
            // A node that was given nothing may be listed more than once.
            let mass = std::mem::replace(&mut node.mass, [0.0; 2]);
            if mass != [0.0; 2] {
                beam.push((prefix, mass));
            }
        }
        beam.sort_by(|a, b| (b.1[0] + b.1[1]).total_cmp(&(a.1[0] + a.1[1])).then(a.0.cmp(&b.0)));
        beam.truncate(width);
        let highest = beam.first().map_or(1.0, |(_, [blank, last])| blank + last).max(f64::MIN_POSITIVE);
        // only ratios matter to the search: scaling keeps long sequences from underflowing
        for (_, mass) in beam {
            *mass = mass.map(|v| v / highest);
        }
    }

    /// Whether `prefix` is a whole text.
    pub(crate) fn is_whole(&self, prefix: Prefix) -> bool {
        let node = self.node(prefix);
        self.automaton.ends(node.state, node.length as usize)
    }

    /// The classes of `prefix`.
    pub(crate) fn text(&self, mut prefix: Prefix) -> Vec<usize> {
        let mut text = Vec::with_capacity(self.node(prefix).length as usize);
        while let Some(class) = self.last(prefix) {
            text.push(class);
            prefix = self.node(prefix).parent;
        }
        text.reverse();
        text
    }
}
