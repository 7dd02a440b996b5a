//! Writes minimal ONNX files (opset 11) by hand: just enough of protobuf and onnx.proto for the networks below.

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

fn pool() -> Vec<u8> {
    node("MaxPool", &["input"], "heatmap", &[ints("kernel_shape", &[8, 8]), ints("strides", &[8, 8])])
}

fn negate() -> Vec<u8> {
    node("Neg", &["heatmap"], "minus", &[])
}

fn concat(inputs: &[&str], output: &str) -> Vec<u8> {
    let axis = [bytes(1, b"axis"), number(3, 1), number(20, 2)].concat();
    node("Concat", inputs, output, &[bytes(5, &axis)])
}

/// ModelProto: ir_version, opset, graph (nodes, name, input, outputs).
fn model(nodes: &[u8], input: &[i64], outputs: &[&str]) -> Vec<u8> {
    let mut graph = [nodes.to_vec(), bytes(2, b"tiny"), bytes(11, &value_info("input", Some(input)))].concat();
    for output in outputs {
        graph.extend(bytes(12, &value_info(output, None)));
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

/// An attribute with a list of integers, as a field of a node.
fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let mut body = bytes(1, name.as_bytes());
    for value in values {
        body.extend(number(8, *value));
    }
    body.extend(number(20, 7));
    bytes(5, &body)
}

/// ValueInfoProto of an f32 tensor; -1 is a dynamic dimension, no dimensions an unknown shape.
fn value_info(name: &str, dimensions: Option<&[i64]>) -> Vec<u8> {
    let mut tensor = number(1, 1);
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
