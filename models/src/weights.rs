//! Whether a model file holds its weights itself.
//!
//! ONNX lets a tensor name another file for its data. The manifest's hash covers the one file only, so weights elsewhere
//! would be weights that nobody checked, and a path elsewhere is a path an attacker chose. A walk over the protobuf
//! (onnx.proto3 of ONNX 1.18; field numbers are stable) finds such tensors before ONNX Runtime sees the file. What is no
//! protobuf is left to ONNX Runtime to refuse.

/// Graphs nest in attributes of nodes; deeper than this is no network.
const MAX_DEPTH: usize = 64;

/// A kind of message, with the fields that lead on to tensors.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    SparseTensor,
    Tensor,
}

impl Message {
    /// What the field `number` of this message holds, if that may lead to a tensor.
    fn below(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            _ => None,
        }
    }
}

/// Whether a tensor of the ONNX `file` keeps its data in another file, or the file nests deeper than any network.
pub(crate) fn lie_elsewhere(file: &[u8]) -> bool {
    walk(file, Message::Model, 0)
}

fn walk(mut bytes: &[u8], message: Message, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    while let Some((number, value, rest)) = field(bytes) {
        bytes = rest;
        match (message, number, value) {
            // external_data, and data_location EXTERNAL
            (Message::Tensor, 13, Value::Bytes(_)) | (Message::Tensor, 14, Value::Number(1)) => return true,
            (_, _, Value::Bytes(inner)) => {
                if message.below(number).is_some_and(|below| walk(inner, below, depth + 1)) {
                    return true;
                }
            }
            (_, _, Value::Number(_)) => {}
        }
    }
    false
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The first field's number and value, and what follows; `None` at the end or where the encoding is broken.
fn field(bytes: &[u8]) -> Option<(u64, Value<'_>, &[u8])> {
    let (key, rest) = varint(bytes)?;
    let (value, rest) = match key & 7 {
        0 => {
            let (number, rest) = varint(rest)?;
            (Value::Number(number), rest)
        }
        1 => (Value::Number(0), rest.get(8..)?),
        2 => {
            let (length, rest) = varint(rest)?;
            let (inner, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Value::Bytes(inner), rest)
        }
        5 => (Value::Number(0), rest.get(4..)?),
        _ => return None,
    };
    Some((key >> 3, value, rest))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        assert!(number < 16 && inner.len() < 128, "short fields only");
        out.push(inner.len() as u8);
        out.extend(inner);
        out
    }

    #[test]
    fn external_data_is_found_wherever_a_tensor_may_be() {
        let external = [14 << 3, 1];
        let initializer = message(7, &message(5, &external));
        assert!(lie_elsewhere(&initializer));
        assert!(lie_elsewhere(&message(7, &message(5, &message(13, b"location")))));
        let constant = |tensor: &[u8]| message(7, &message(1, &message(5, &message(5, tensor))));
        assert!(lie_elsewhere(&constant(&external)));
        let in_a_branch = message(7, &message(1, &message(5, &message(6, &message(5, &external)))));
        assert!(lie_elsewhere(&in_a_branch));
        // DEFAULT, and the same numbers in another message
        assert!(!lie_elsewhere(&constant(&[14 << 3, 0])));
        assert!(!lie_elsewhere(&message(7, &external)));
    }

    #[test]
    fn graphs_within_graphs_without_end_are_refused() {
        let mut graph = Vec::new();
        for _ in 0..40 {
            // graph <- attribute <- node, with lengths of several bytes
            for number in [6_u8, 5, 1] {
                let mut outer = vec![number << 3 | 2];
                let mut length = graph.len();
                while length >= 0x80 {
                    outer.push(length as u8 | 0x80);
                    length >>= 7;
                }
                outer.push(length as u8);
                outer.extend(&graph);
                graph = outer;
            }
        }
        let mut model = vec![7 << 3 | 2, (graph.len() & 0x7f) as u8 | 0x80, (graph.len() >> 7) as u8];
        model.extend(&graph);
        assert!(lie_elsewhere(&model));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_walk(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            lie_elsewhere(&bytes);
        }
    }
}
