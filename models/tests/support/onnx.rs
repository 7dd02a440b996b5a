//! Writes minimal ONNX files (opset 11) by hand: just enough of protobuf and onnx.proto for the networks below.

/// Element types of onnx.proto.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const UINT8: i64 = 2;
pub(crate) const DOUBLE: i64 = 11;

/// Heat: the brightest pixel of each 8x8 cell. Corners: a square whose half side is the cell's own value.
pub(crate) fn plate_detector() -> Vec<u8> {
    let points = ["minus", "minus", "heatmap", "minus", "heatmap", "heatmap", "minus", "heatmap"];
    let nodes = [pool(), negate(), concat(&points, "points")].concat();
    model(&nodes, &[-1, 1, -1, -1], &["heatmap", "points"])
}

/// As the plate detector; eyes above, mouth corners below, the nose between them; the box is twice as large.
pub(crate) fn face_detector() -> Vec<u8> {
    let points = ["minus", "minus", "heatmap", "minus", "zero", "zero", "minus", "heatmap", "heatmap", "heatmap"];
    let zero = node("Add", &["heatmap", "minus"], "zero", &[]);
    let double = node("Add", &["heatmap", "heatmap"], "double", &[]);
    let sides = concat(&["double"; 4], "box");
    let nodes = [pool(), negate(), zero, double, concat(&points, "points"), sides].concat();
    model(&nodes, &[-1, 1, -1, -1], &["heatmap", "points", "box"])
}

/// The picture itself as logits `[1, height, width]`.
pub(crate) fn reader([height, width]: [i64; 2]) -> Vec<u8> {
    let nodes = node("Squeeze", &["input"], "logits", &[ints("axes", &[1])]);
    model(&nodes, &[1, 1, height, width], &["logits"])
}

/// The picture itself as a vector.
pub(crate) fn embedder([height, width]: [i64; 2]) -> Vec<u8> {
    model(&node("Flatten", &["input"], "vector", &[]), &[1, 1, height, width], &["vector"])
}

/// An output: name, shape and values.
pub(crate) type Answer<'a> = (&'a str, &'a [i64], Vec<f32>);

/// A network that gives the same `answers` whatever it is shown.
pub(crate) fn answering(input: &[i64], answers: &[Answer<'_>]) -> Vec<u8> {
    let mut nodes = Vec::new();
    for (name, shape, values) in answers {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let stored = format!("{name}_stored");
        // initializers are a field of the graph, as nodes are
        nodes.extend(bytes(5, &tensor(&stored, FLOAT, shape, &bytes(9, &raw))));
        nodes.extend(node("Identity", &[&stored], name, &[]));
    }
    let names: Vec<&str> = answers.iter().map(|(name, ..)| *name).collect();
    model(&nodes, input, &names)
}

/// The pixels of a `[1, height, width, 1]` picture of `element`s as `f32`, in the shape `[1, height, width]`.
pub(crate) fn interleaved_reader([height, width]: [i64; 2], element: i64) -> Vec<u8> {
    let cast = node("Cast", &["input"], "floats", &[integer("to", FLOAT)]);
    let squeeze = node("Squeeze", &["floats"], "slots", &[ints("axes", &[3])]);
    typed(&[cast, squeeze].concat(), (element, &[1, height, width, 1]), &["slots"])
}

/// Each pixel of the first plane over that of the second one: not a number where both are zero.
pub(crate) fn quotient([height, width]: [i64; 2]) -> Vec<u8> {
    let parts = ints("split", &[1, 1, 1]);
    let body: Vec<u8> = [
        ["a", "b", "c"].into_iter().flat_map(|name| bytes(2, name.as_bytes())).collect(),
        bytes(1, b"input"),
        bytes(4, b"Split"),
        integer("axis", 1),
        parts,
    ]
    .concat();
    let divide = node("Div", &["a", "b"], "quotient", &[]);
    let squeeze = node("Squeeze", &["quotient"], "logits", &[ints("axes", &[1])]);
    model(&[bytes(1, &body), divide, squeeze].concat(), &[1, 3, height, width], &["logits"])
}

/// A network that adds an initializer to its picture; `stored` is what follows the initializer's name, type and `shape`.
pub(crate) fn adding(input: &[i64], element: i64, shape: &[i64], stored: &[u8]) -> Vec<u8> {
    let nodes = [bytes(5, &tensor("stored", element, shape, stored)), node("Add", &["input", "stored"], "logits", &[])];
    model(&nodes.concat(), input, &["logits"])
}

/// A field that says that a tensor's data is in the file `location`.
pub(crate) fn external(location: &str) -> Vec<u8> {
    let entry = [bytes(1, b"location"), bytes(2, location.as_bytes())].concat();
    [bytes(13, &entry), number(14, 1)].concat()
}

/// A field with a tensor's data.
pub(crate) fn raw(data: &[u8]) -> Vec<u8> {
    bytes(9, data)
}

/// A network whose output has more elements than a memory: `shape` zeros.
pub(crate) fn immense(input: &[i64], shape: &[i64]) -> Vec<u8> {
    let sides: Vec<u8> = shape.iter().flat_map(|side| side.to_le_bytes()).collect();
    let stored = bytes(5, &tensor("shape", 7, &[shape.len() as i64], &bytes(9, &sides)));
    model(&[stored, node("ConstantOfShape", &["shape"], "logits", &[])].concat(), input, &["logits"])
}

/// A network that says that its output is 4 x `columns`; how many there are depends on the picture.
pub(crate) fn boasting(input: &[i64], columns: i64) -> Vec<u8> {
    let nodes =
        [node("NonZero", &["input"], "places", &[]), node("Cast", &["places"], "logits", &[integer("to", FLOAT)])];
    let output = bytes(12, &value_info("logits", FLOAT, Some(&[4, columns])));
    model(&[nodes.concat(), output].concat(), input, &[])
}

/// TensorProto: dims, data type, name, and its data as `stored` says.
fn tensor(name: &str, element: i64, shape: &[i64], stored: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|side| number(1, *side)).collect();
    [dims, number(2, element), bytes(8, name.as_bytes()), stored.to_vec()].concat()
}

fn pool() -> Vec<u8> {
    node("MaxPool", &["input"], "heatmap", &[ints("kernel_shape", &[8, 8]), ints("strides", &[8, 8])])
}

fn negate() -> Vec<u8> {
    node("Neg", &["heatmap"], "minus", &[])
}

fn concat(inputs: &[&str], output: &str) -> Vec<u8> {
    node("Concat", inputs, output, &[integer("axis", 1)])
}

fn model(nodes: &[u8], input: &[i64], outputs: &[&str]) -> Vec<u8> {
    typed(nodes, (FLOAT, input), outputs)
}

/// ModelProto: ir_version, opset, graph (nodes, name, input, outputs).
fn typed(nodes: &[u8], (element, input): (i64, &[i64]), outputs: &[&str]) -> Vec<u8> {
    let mut graph = [nodes.to_vec(), bytes(2, b"tiny"), bytes(11, &value_info("input", element, Some(input)))].concat();
    for output in outputs {
        graph.extend(bytes(12, &value_info(output, FLOAT, None)));
    }
    [number(1, 7), bytes(7, &graph), bytes(8, &number(2, 11))].concat()
}

/// One NodeProto as a field of the graph.
fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut body: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
    body.extend(bytes(2, output.as_bytes()));
    body.extend(bytes(4, operator.as_bytes()));
    body.extend(attributes.concat());
    bytes(1, &body)
}

/// An attribute with an integer, as a field of a node.
fn integer(name: &str, value: i64) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), number(3, value), number(20, 2)].concat())
}

/// An attribute with a list of integers, as a field of a node.
fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let mut body = bytes(1, name.as_bytes());
    for value in values {
        body.extend(number(8, *value));
    }
    body.extend(number(20, 7));
    bytes(5, &body)
}

/// ValueInfoProto of a tensor; -1 is a dynamic dimension, no dimensions an unknown shape.
fn value_info(name: &str, element: i64, dimensions: Option<&[i64]>) -> Vec<u8> {
    let mut tensor = number(1, element);
    if let Some(dimensions) = dimensions {
        let mut shape = Vec::new();
        for (i, size) in dimensions.iter().enumerate() {
            let dimension = if *size < 0 { bytes(2, format!("d{i}").as_bytes()) } else { number(1, *size) };
            shape.extend(bytes(1, &dimension));
        }
        tensor.extend(bytes(2, &shape));
    }
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value as u64)].concat()
}

fn bytes(field: u64, data: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(data.len() as u64), data.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
