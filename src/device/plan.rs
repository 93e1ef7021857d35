//! A graph lowered onto a device: its weights packed, its values placed in one arena, its
//! operations a list of launches.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::api::{Chosen, Device, Support, alloc};
use super::desc::{Buf, DType, Desc, Mem};
use super::gpu::driver::Stream;
use super::graph::{Graph, Node, Origin, Value};
use super::lower::{Folds, Lower, Rows, check, lower};
use super::op::{Cost, Op};
use super::weights::Source;
use crate::error::{Error, Result};

/// Where a step finds a value.
#[derive(Debug, Clone)]
enum Place {
    /// At this byte of the arena.
    Arena(usize, Desc),
    Param(Buf),
    Input(usize),
    Output(usize),
}

struct Step {
    op: Op,
    ins: Vec<Place>,
    outs: Vec<Place>,
    chosen: Chosen,
}

/// What all plans over the same weights share.
struct Program {
    device: Arc<dyn Device>,
    steps: Vec<Step>,
    inputs: Vec<(String, Desc)>,
    outputs: Vec<Desc>,
    arena: usize,
    scratch: usize,
    packed: usize,
    shapes: Vec<(Op, Vec<Desc>)>,
    how: Lower,
    /// The weights, for plans of other sizes.
    weights: Arc<Kept>,
}

/// Weights on a device, by their key in the lowered graph: as published, or in the layout that an
/// operation has for them. That of a product depends on the weight alone, that of a convolution may
/// depend on the image.
type Kept = HashMap<(String, Option<(Op, Vec<Desc>)>), Buf>;

/// A graph lowered onto a device, ready to run.
///
/// The memory of the values between its operations is allocated by the first run, or by
/// [`Plan::reserve`]; no later run allocates any.
pub struct Plan {
    program: Arc<Program>,
    memory: OnceLock<Memory>,
}

/// What the values between operations stand in.
#[derive(Clone)]
struct Memory {
    arena: Arc<dyn Mem>,
    workspace: Option<Buf>,
}

impl Plan {
    /// Lowers `graph` onto `device`, with the weights of `source` folded and packed, one filter at a
    /// time where the device has a layout of its own for them.
    ///
    /// # Errors
    /// A weight that is missing or has another shape (named), what `source` says while it is read, an
    /// operation that the device runs in no form (named), or too little memory.
    pub fn new(
        graph: &Graph,
        source: &dyn Source,
        device: Arc<dyn Device>,
        how: Lower,
    ) -> Result<Plan> {
        check(graph, source)?;
        let lowered = lower(graph, how)?;
        let folds = Folds {
            folds: &lowered.folds,
            source,
        };
        let program = Program::of(&lowered.graph, Some(folds), Arc::default(), device, how)?;
        source.finish()?;
        Ok(Plan::over(Arc::new(program)))
    }

    /// A plan for `graph` over the weights of this one: the same network with other numbers of rows.
    ///
    /// # Errors
    /// A weight that this plan does not have, or not in the layout that `graph` asks for (that of a
    /// product depends on the weight alone, that of a convolution on the image too); as [`Plan::new`].
    pub fn resized(&self, graph: &Graph) -> Result<Plan> {
        self.resized_over(graph)
    }

    /// The same in the memory of a plan that is not needed any more, where that has enough of it.
    ///
    /// # Errors
    /// As [`Plan::resized`].
    pub fn resized_in(&self, graph: &Graph, spare: Option<Plan>) -> Result<Plan> {
        let plan = self.resized_over(graph)?;
        // The spare one's memory goes first where it is too small, so that the two never stand together.
        if let Some(memory) = spare.and_then(|spare| spare.memory.into_inner()) {
            plan.adopt(memory);
        }
        plan.reserve()?;
        Ok(plan)
    }

    /// The same in the memory of `other`, which goes on using it, where that has enough of it: the two
    /// must not run at one time, but one after the other on a stream.
    ///
    /// # Errors
    /// As [`Plan::resized`].
    pub fn resized_beside(&self, graph: &Graph, other: &Plan) -> Result<Plan> {
        let plan = self.resized_over(graph)?;
        if let Some(memory) = other.memory.get() {
            plan.adopt(memory.clone());
        }
        plan.reserve()?;
        Ok(plan)
    }

    fn resized_over(&self, graph: &Graph) -> Result<Plan> {
        let own = &*self.program;
        let lowered = lower(graph, own.how)?;
        let (device, kept) = (Arc::clone(&own.device), Arc::clone(&own.weights));
        let program = Program::of(&lowered.graph, None, kept, device, own.how)?;
        Ok(Plan::over(Arc::new(program)))
    }

    /// Another plan over the same weights, with an arena of its own: the two can run at once.
    ///
    /// # Errors
    /// Too little memory.
    pub fn twin(&self) -> Result<Plan> {
        let twin = Plan::over(Arc::clone(&self.program));
        twin.reserve()?;
        Ok(twin)
    }

    fn over(program: Arc<Program>) -> Plan {
        Plan {
            program,
            memory: OnceLock::new(),
        }
    }

    /// Takes memory that has enough of everything, and leaves other memory to its owner.
    fn adopt(&self, memory: Memory) {
        let program = &*self.program;
        let scratch = memory.workspace.as_ref().map_or(0, |w| w.desc.bytes());
        let home = program.weights.values().next().map(|w| w.mem.home());
        let enough = memory.arena.bytes() >= program.arena && scratch >= program.scratch;
        if enough && home.is_none_or(|home| home == memory.arena.home()) {
            // A plan that has memory keeps it.
            let _ = self.memory.set(memory);
        }
    }

    /// Allocates the memory of the values between the operations, where that was not done.
    ///
    /// # Errors
    /// Too little memory.
    pub fn reserve(&self) -> Result<()> {
        self.memory().map(|_| ())
    }

    /// All memory that a run reads and writes beside its inputs and outputs.
    pub(super) fn holds(&self) -> Result<Vec<Arc<dyn Mem>>> {
        let memory = self.memory()?;
        let weights = self.program.weights.values();
        let scratch = memory.workspace.iter();
        let bufs = scratch.chain(weights).map(|buf| Arc::clone(&buf.mem));
        Ok(bufs.chain([Arc::clone(&memory.arena)]).collect())
    }

    fn memory(&self) -> Result<&Memory> {
        if let Some(memory) = self.memory.get() {
            return Ok(memory);
        }
        let program = &*self.program;
        let device = &*program.device;
        let arena = device.alloc(program.arena)?;
        let workspace = match program.scratch {
            0 => None,
            n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
        };
        Ok(self.memory.get_or_init(|| Memory { arena, workspace }))
    }

    /// Runs all operations, in order, on `stream`. Inputs and outputs stand in the graph's order.
    ///
    /// # Errors
    /// A buffer of another shape or type, or a failing device.
    pub fn run(&self, ins: &[&Buf], outs: &[&Buf], stream: Stream) -> Result<()> {
        let program = &*self.program;
        let wanted: Vec<&Desc> = program
            .inputs
            .iter()
            .map(|(_, d)| d)
            .chain(&program.outputs)
            .collect();
        let given: Vec<&Desc> = ins.iter().chain(outs).map(|b| &b.desc).collect();
        if ins.len() != program.inputs.len() || outs.len() != program.outputs.len() {
            return Err(Error::shape(
                "plan",
                &[program.inputs.len(), program.outputs.len()],
                &[ins.len(), outs.len()],
            ));
        }
        for (want, have) in wanted.iter().zip(&given) {
            if want != have {
                return Err(Error::shape("plan", &want.dims, &have.dims));
            }
        }
        let memory = self.memory()?;
        let find = |place: &Place| match place {
            Place::Arena(at, desc) => Buf::new(desc.clone(), Arc::clone(&memory.arena), *at),
            Place::Param(buf) => Ok(buf.clone()),
            Place::Input(i) => Ok(ins[*i].clone()),
            Place::Output(i) => Ok(outs[*i].clone()),
        };
        for step in &program.steps {
            let from: Vec<Buf> = step.ins.iter().map(find).collect::<Result<_>>()?;
            let to: Vec<Buf> = step.outs.iter().map(find).collect::<Result<_>>()?;
            let (from, to): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
            let scratch = memory.workspace.as_ref();
            let (device, op) = (&program.device, &step.op);
            device.run_chosen(&step.chosen, op, &from, &to, scratch, stream)?;
        }
        Ok(())
    }

    /// The inputs' names and shapes, in order.
    pub fn inputs(&self) -> &[(String, Desc)] {
        &self.program.inputs
    }

    /// The outputs' shapes, in order.
    pub fn outputs(&self) -> &[Desc] {
        &self.program.outputs
    }

    /// Every operation with its inputs' shapes, in order: what the benches measure.
    pub fn shapes(&self) -> &[(Op, Vec<Desc>)] {
        &self.program.shapes
    }

    /// What [`Plan::shapes`] would be of a plan for `graph` on `device`, without weights or memory.
    /// Where the device lacks an operation, the lowered graph's own are given, that one among them.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn shapes_on(
        graph: &Graph,
        device: &dyn Device,
        how: Lower,
    ) -> Result<Vec<(Op, Vec<Desc>)>> {
        let lowered = lower(graph, how)?.graph;
        let runs = native(&lowered, device).unwrap_or(lowered);
        Ok(shapes_of(&runs))
    }

    /// How many operations a run launches.
    pub fn launches(&self) -> usize {
        self.program.steps.len()
    }

    /// Bytes of the arena that all values between the operations share.
    pub fn arena(&self) -> usize {
        self.program.arena
    }

    /// Bytes that [`Plan::reserve`] allocates: the arena, and scratch memory of the operations.
    pub fn needs(&self) -> usize {
        self.program.arena + self.program.scratch.next_multiple_of(4)
    }

    /// Bytes of the packed weights, which all twins share.
    pub fn packed(&self) -> usize {
        self.program.packed
    }

    /// Where it runs.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.program.device
    }

    /// What one run costs.
    ///
    /// # Errors
    /// As [`Op::cost`].
    pub fn cost(&self) -> Result<Cost> {
        self.program
            .shapes
            .iter()
            .try_fold(Cost { flops: 0, bytes: 0 }, |sum, (op, ins)| {
                let cost = op.cost(ins)?;
                Ok(Cost {
                    flops: sum.flops + cost.flops,
                    bytes: sum.bytes + cost.bytes,
                })
            })
    }
}

impl Program {
    /// Places the values and weights of a lowered graph: weights that were kept as they are, others
    /// from `folds`.
    fn of(
        lowered: &Graph,
        folds: Option<Folds<'_>>,
        kept: Arc<Kept>,
        device: Arc<dyn Device>,
        how: Lower,
    ) -> Result<Program> {
        let graph = native(lowered, &*device)?;
        let (mut places, inputs, outputs) = ends(&graph)?;
        let (offsets, arena) = arrange(&graph, &places);
        for (value, at) in offsets {
            places.insert(value, Place::Arena(at, graph.desc(value).clone()));
        }
        let mut packer = Packer {
            graph: &graph,
            folds,
            device: &*device,
            places,
            kept,
        };
        let mut steps = Vec::with_capacity(graph.nodes().len());
        for node in graph.nodes() {
            steps.push(packer.step(node)?);
        }
        let weights = packer.kept;
        let shapes = shapes_of(&graph);
        let wanted = steps.iter().map(|step| step.chosen.workspace);
        let scratch = wanted.max().unwrap_or(0);
        let size = |b: &Buf| {
            if b.is_packed() {
                b.mem.bytes()
            } else {
                b.desc.bytes()
            }
        };
        Ok(Program {
            packed: weights.values().map(size).sum(),
            device,
            steps,
            inputs,
            outputs,
            arena,
            scratch,
            shapes,
            how,
            weights,
        })
    }
}

/// Every operation of a graph with its inputs' shapes, in order.
fn shapes_of(graph: &Graph) -> Vec<(Op, Vec<Desc>)> {
    let descs = |n: &Node| n.ins.iter().map(|&v| graph.desc(v).clone()).collect();
    graph.nodes().iter().map(|n| (n.op, descs(n))).collect()
}

type Ends = (HashMap<Value, Place>, Vec<(String, Desc)>, Vec<Desc>);

/// The places of a graph's inputs and outputs, and their shapes.
fn ends(graph: &Graph) -> Result<Ends> {
    let (mut places, mut inputs, mut outputs) = (HashMap::new(), Vec::new(), Vec::new());
    for value in graph.inputs() {
        if let Origin::Input(name) = graph.origin(value) {
            places.insert(value, Place::Input(inputs.len()));
            inputs.push((name.clone(), graph.desc(value).clone()));
        }
    }
    for &value in graph.outputs() {
        if !matches!(graph.origin(value), Origin::Node(..)) {
            return Err(Error::unsupported(
                "an input or a weight cannot be an output",
            ));
        }
        places.insert(value, Place::Output(outputs.len()));
        outputs.push(graph.desc(value).clone());
    }
    Ok((places, inputs, outputs))
}

/// Bytes of a published weight that are copied at a time.
const PIECE: usize = 1 << 20;

/// Brings weights onto a device, each where a step first asks for it.
struct Packer<'a> {
    graph: &'a Graph,
    /// Where weights come from that are not there yet.
    folds: Option<Folds<'a>>,
    device: &'a dyn Device,
    /// Where values are; weights that stand as they are published come in as they are met.
    places: HashMap<Value, Place>,
    kept: Arc<Kept>,
}

impl Packer<'_> {
    fn step(&mut self, node: &Node) -> Result<Step> {
        let descs: Vec<Desc> = node
            .ins
            .iter()
            .map(|&v| self.graph.desc(v).clone())
            .collect();
        let mut ins = Vec::with_capacity(node.ins.len());
        for (at, &value) in node.ins.iter().enumerate() {
            ins.push(match (self.graph.origin(value), self.places.get(&value)) {
                (Origin::Param(key), place) => {
                    match (self.device.packed(&node.op, &descs, at), place) {
                        (Some(bytes), _) => self.pack(key, node, &descs, at, bytes)?,
                        (None, Some(place)) => place.clone(),
                        (None, None) => self.plain(key, value)?,
                    }
                }
                (_, Some(place)) => place.clone(),
                (_, None) => return Err(Error::internal("a value without a place")),
            });
        }
        let outs = node.outs.iter().map(|v| self.places[v].clone()).collect();
        let is_packed = |place: &Place| matches!(place, Place::Param(buf) if buf.is_packed());
        let packed: Vec<bool> = ins.iter().map(is_packed).collect();
        Ok(Step {
            op: node.op,
            ins,
            outs,
            chosen: self.device.choose(&node.op, &descs, &packed),
        })
    }

    /// The source of a weight that is not there yet.
    fn rows(&self, key: &str, value: Value) -> Result<Rows<'_>> {
        match &self.folds {
            Some(folds) => folds.rows(self.graph, value),
            None => Err(Error::unsupported("the first plan has it in no such layout").column(key)),
        }
    }

    /// A weight in the device's own layout for input `at` of `node`.
    fn pack(
        &mut self,
        key: &str,
        node: &Node,
        descs: &[Desc],
        at: usize,
        bytes: usize,
    ) -> Result<Place> {
        let desc = descs[at].clone();
        let of = match node.op {
            Op::Gemm { .. } => vec![desc.clone()],
            // No layout depends on how many images there are.
            Op::Conv { .. } | Op::ConvAverage { .. } => {
                let mut image = descs[0].clone();
                if let Some(images) = image.dims.first_mut() {
                    *images = 1;
                }
                vec![image, desc.clone()]
            }
            Op::ExpandDepthwise { .. } => {
                let mut image = descs[0].clone();
                if let Some(images) = image.dims.first_mut() {
                    *images = 1;
                }
                vec![image, descs[1].clone(), desc.clone()]
            }
            _ => descs.to_vec(),
        };
        let name = (key.to_string(), Some((node.op, of)));
        if let Some(buf) = self.kept.get(&name) {
            return Ok(Place::Param(buf.clone()));
        }
        let rows = self.rows(key, node.ins[at])?;
        let mem = self.device.alloc(bytes.max(desc.bytes()))?;
        let buf = Buf::packed(desc, mem)?;
        let mut row = |i: usize, out: &mut [f32]| rows.row(i, out);
        self.device.pack(&node.op, descs, at, &mut row, &buf)?;
        self.keep(name, &buf);
        Ok(Place::Param(buf))
    }

    /// A weight as it is published, for all who read it.
    fn plain(&mut self, key: &str, value: Value) -> Result<Place> {
        let name = (key.to_string(), None);
        let buf = match self.kept.get(&name) {
            Some(buf) if buf.desc == *self.graph.desc(value) => buf.clone(),
            Some(buf) => {
                let dims = &self.graph.desc(value).dims;
                return Err(Error::shape("weights", &buf.desc.dims, dims).column(key));
            }
            None => {
                let buf = self.upload(key, value)?;
                self.keep(name, &buf);
                buf
            }
        };
        let place = Place::Param(buf);
        self.places.insert(value, place.clone());
        Ok(place)
    }

    /// Only a first plan adds weights, and nobody shares them yet: nothing is copied.
    fn keep(&mut self, name: (String, Option<(Op, Vec<Desc>)>), buf: &Buf) {
        Arc::make_mut(&mut self.kept).insert(name, buf.clone());
    }

    /// Copies a published weight piece by piece, so that no second copy of a large one is held.
    fn upload(&self, key: &str, value: Value) -> Result<Buf> {
        let rows = self.rows(key, value)?;
        let buf = alloc(self.device, self.graph.desc(value).clone())?;
        let dtype = buf.desc.dtype;
        if buf.desc.bytes() <= PIECE || rows.depth() == 0 {
            let bytes = bytes_of(&rows.whole()?, dtype);
            self.device.upload(&bytes, &buf, Stream::DEFAULT)?;
            return Ok(buf);
        }
        let (count, depth) = (buf.desc.dims[0], rows.depth());
        let step = (PIECE / (depth * dtype.size())).max(1);
        let mut values = vec![0.0; step.min(count) * depth];
        for from in (0..count).step_by(step) {
            let piece = &mut values[..step.min(count - from) * depth];
            for (i, row) in piece.chunks_exact_mut(depth).enumerate() {
                rows.row(from + i, row)?;
            }
            let desc = Desc::new(&[piece.len()], dtype);
            let at = buf.at + from * depth * dtype.size();
            let to = Buf::new(desc, Arc::clone(&buf.mem), at)?;
            self.device
                .upload(&bytes_of(piece, dtype), &to, Stream::DEFAULT)?;
        }
        Ok(buf)
    }
}

/// The graph with every operation that the device wants unfused in its plain form.
fn native(graph: &Graph, device: &dyn Device) -> Result<Graph> {
    // What an operation stands for may be fused in its turn.
    unfused(&unfused(graph, device)?, device)
}

/// The same, but that what takes an operation's place stays as it is.
fn unfused(graph: &Graph, device: &dyn Device) -> Result<Graph> {
    let mut out = Graph::new();
    let mut map: HashMap<Value, Value> = HashMap::new();
    for (at, (desc, origin)) in graph.values.iter().enumerate() {
        let new = match origin {
            Origin::Input(name) => out.input(name, desc.clone()),
            Origin::Param(key) => {
                let value = out.param(key, &desc.dims)?;
                out.values[value.0 as usize].0.dtype = desc.dtype;
                value
            }
            Origin::Node(..) => continue,
        };
        map.insert(Value(at as u32), new);
    }
    for node in graph.nodes() {
        let ins: Vec<Value> = node.ins.iter().map(|v| map[v]).collect();
        let descs: Vec<Desc> = node.ins.iter().map(|&v| graph.desc(v).clone()).collect();
        let outs = match device.supports(&node.op, &descs) {
            Support::Native => out.push_all(node.op, &ins)?,
            Support::Unfuse => node.op.unfuse(&mut out, &ins)?,
            Support::No(why) => {
                return Err(
                    Error::unsupported(format!("{}: {why}", device.info().name)).op(node.op.name())
                );
            }
        };
        map.extend(node.outs.iter().copied().zip(outs));
    }
    let outputs: Vec<Value> = graph.outputs().iter().map(|v| map[v]).collect();
    out.output(&outputs);
    Ok(out)
}

/// Places every value that is neither input, weight nor output in one arena: two values share bytes
/// only when one is read for the last time before the other is written. Largest first, each at the
/// lowest place that is free for its whole life.
fn arrange(graph: &Graph, placed: &HashMap<Value, Place>) -> (Vec<(Value, usize)>, usize) {
    const ALIGN: usize = 256;
    let mut lives: HashMap<Value, (usize, usize)> = HashMap::new();
    for (at, node) in graph.nodes().iter().enumerate() {
        for &value in node.outs.iter().chain(&node.ins) {
            let made = matches!(graph.origin(value), Origin::Node(..));
            if made && !placed.contains_key(&value) {
                lives.entry(value).or_insert((at, at)).1 = at;
            }
        }
    }
    let mut order: Vec<Value> = lives.keys().copied().collect();
    order.sort_by_key(|v| (std::cmp::Reverse(graph.desc(*v).bytes()), *v));
    let mut done: Vec<(Value, usize)> = Vec::new();
    let mut size = 0;
    for value in order {
        let bytes = graph.desc(value).bytes().next_multiple_of(ALIGN).max(ALIGN);
        let (from, to) = lives[&value];
        let mut taken: Vec<(usize, usize)> = done
            .iter()
            .filter(|(other, _)| lives[other].0 <= to && from <= lives[other].1)
            .map(|&(other, at)| {
                (
                    at,
                    at + graph.desc(other).bytes().next_multiple_of(ALIGN).max(ALIGN),
                )
            })
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, end) in taken {
            if at + bytes <= start {
                break;
            }
            at = at.max(end);
        }
        size = size.max(at + bytes);
        done.push((value, at));
    }
    (done, size)
}

/// Values in the bytes of `dtype`, rounded to nearest.
pub fn bytes_of(values: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => values
            .iter()
            .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
            .collect(),
        DType::BF16 => values
            .iter()
            .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
            .collect(),
        _ => bytemuck::cast_slice(values).to_vec(),
    }
}

/// The values of bytes of `dtype`, widened.
pub fn values_of(bytes: &[u8], dtype: DType) -> Vec<f32> {
    let words = bytes.chunks_exact(dtype.size());
    match dtype {
        DType::F16 => words
            .map(|w| half::f16::from_le_bytes([w[0], w[1]]).to_f32())
            .collect(),
        DType::BF16 => words
            .map(|w| half::bf16::from_le_bytes([w[0], w[1]]).to_f32())
            .collect(),
        _ => words
            .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect(),
    }
}
