//! The tape: backward rules of the plain operations, and the reverse walk that applies them.

use std::collections::HashMap;

use super::graph::{Graph, Node, Origin, Value};
use super::op::{Epilogue, Op};
use crate::error::{Error, Result};

impl Graph {
    /// Appends the operations that compute the gradients of `loss` with respect to `wrt`, and gives
    /// them in the same order. A value that the loss does not depend on is an error.
    ///
    /// # Errors
    /// `loss` is not the loss of a loss operation, an operation on the way is fused (backward rules
    /// exist for plain operations: [`Op::unfuse`] first), or a value does not reach the loss.
    pub fn backward(&mut self, loss: Value, wrt: &[Value]) -> Result<Vec<Value>> {
        let Origin::Node(last, 0) = *self.origin(loss) else {
            return Err(Error::internal(
                "a loss is the first output of a loss operation",
            ));
        };
        let node = self.nodes[last].clone();
        if node.op != Op::SoftmaxCrossEntropy {
            return Err(Error::internal("is not a loss").op(node.op.name()));
        }
        // Its gradient is already there: the loss operation gives it beside the loss.
        let mut grads: HashMap<Value, Value> = HashMap::from([(node.ins[0], node.outs[1])]);
        for at in (0..last).rev() {
            let node = self.nodes[at].clone();
            let Some(&dout) = node.outs.first().and_then(|out| grads.get(out)) else {
                continue;
            };
            for (input, grad) in self.rule(&node, dout)? {
                let sum = match grads.get(&input) {
                    Some(&before) => self.push(Op::Add, &[before, grad])?,
                    None => grad,
                };
                grads.insert(input, sum);
            }
        }
        wrt.iter()
            .map(|v| {
                let missing = || Error::internal(format!("the loss does not depend on {v:?}"));
                grads.get(v).copied().ok_or_else(missing)
            })
            .collect()
    }

    /// The gradients of one node's inputs, given that of its output.
    fn rule(&mut self, node: &Node, dout: Value) -> Result<Vec<(Value, Value)>> {
        let ins = &node.ins;
        match node.op {
            Op::Gemm {
                trans_a,
                trans_b,
                epilogue: Epilogue::BARE,
            } => {
                let (a, b) = (ins[0], ins[1]);
                let gemm = |trans_a, trans_b| Op::Gemm {
                    trans_a,
                    trans_b,
                    epilogue: Epilogue::BARE,
                };
                // C = op(A) op(B): dop(A) = dC op(B)^T and dop(B) = op(A)^T dC; where a factor is
                // stored transposed, so is its gradient.
                let da = match trans_a {
                    false => self.push(gemm(false, !trans_b), &[dout, b])?,
                    true => self.push(gemm(trans_b, true), &[b, dout])?,
                };
                let db = match trans_b {
                    false => self.push(gemm(!trans_a, false), &[a, dout])?,
                    true => self.push(gemm(true, trans_a), &[dout, a])?,
                };
                Ok(vec![(a, da), (b, db)])
            }
            Op::Scale => {
                let dx = self.push(Op::Scale, &[dout, ins[1]])?;
                let ds = self.push(Op::ColumnDot, &[ins[0], dout])?;
                Ok(vec![(ins[0], dx), (ins[1], ds)])
            }
            Op::Bias => {
                let db = self.push(Op::ColumnSum, &[dout])?;
                Ok(vec![(ins[0], dout), (ins[1], db)])
            }
            Op::Add => Ok(vec![(ins[0], dout), (ins[1], dout)]),
            Op::Activation(act) => {
                let dx = self.push(Op::ActivationGrad(act), &[ins[0], dout])?;
                Ok(vec![(ins[0], dx)])
            }
            op => Err(Error::unsupported("has no backward rule").op(op.name())),
        }
    }
}
