//! ops: topk_sparse
