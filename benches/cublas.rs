//! The card's products and searches beside cuBLAS, in one run:
//! `cargo bench --features cublas --bench cublas -- [--filter WORDS] [--rounds N] [--batch N] [--size PX]
//! [--rows N] [--out FILE.json]`.
//!
//! cuBLAS is what libcublasLt of the machine gives: the best of the ten algorithms that it names first,
//! half-precision factors and results with f32 sums, bare and with the same epilogue where it has that.
//! 1x1 convolutions count as the products that they are; a search stands beside the bare product of
//! its rows with themselves. Ends with exit code 2 where there is no card or no cuBLAS, and says so.

use std::ffi::c_void;
use std::process::ExitCode;
use std::ptr::null_mut;

use cudarc::cublaslt::result as lt;
use cudarc::cublaslt::sys;
use doppel::bench::{Bench, Case, Sizes, Work, cases, median, spread};
use doppel::device::{Act, Buf, DType, Desc, Device, Epilogue, Op, Stream, alloc, bytes_of};
use doppel::error::{Error, Result};
use serde_json::{Value, json};

/// How many algorithms are tried.
const ALGORITHMS: usize = 10;
/// Bytes of scratch memory that cuBLAS may use.
const SCRATCH: usize = 64 << 20;

/// A product in row-major terms: `[m, k] x [k, n]`, each factor stored transposed or not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    trans_a: bool,
    trans_b: bool,
    epilogue: Epilogue,
}

impl Product {
    /// The product that a case is, or is measured against.
    fn of(work: &Work) -> Option<Product> {
        match work {
            &Work::TopK { rows, dims, .. } => Some(Product {
                m: rows,
                n: rows,
                k: dims,
                trans_a: false,
                trans_b: true,
                epilogue: Epilogue::BARE,
            }),
            Work::Op(
                Op::Gemm {
                    trans_a,
                    trans_b,
                    epilogue,
                },
                ins,
            ) => {
                let (a, b) = (&ins[0].dims, &ins[1].dims);
                let (m, k) = if *trans_a { (a[1], a[0]) } else { (a[0], a[1]) };
                Some(Product {
                    m,
                    n: if *trans_b { b[0] } else { b[1] },
                    k,
                    trans_a: *trans_a,
                    trans_b: *trans_b,
                    epilogue: *epilogue,
                })
            }
            Work::Op(
                Op::Conv {
                    window,
                    groups: 1,
                    gate: false,
                    epilogue,
                },
                ins,
            ) if window.kernel == [1, 1] && window.stride == [1, 1] => {
                let (x, f) = (&ins[0].dims, &ins[1].dims);
                Some(Product {
                    m: x[0] * x[1] * x[2],
                    n: f[0],
                    k: x[3],
                    trans_a: false,
                    trans_b: true,
                    epilogue: *epilogue,
                })
            }
            _ => None,
        }
    }

    /// The library's epilogue, and whether it has this one. Its GELU is the approximation by tanh.
    fn fused(&self) -> Option<sys::cublasLtEpilogue_t> {
        use sys::cublasLtEpilogue_t as E;
        match (self.epilogue.scale, self.epilogue.bias, self.epilogue.act) {
            (true, ..) => None,
            (_, false, Act::None) => Some(E::CUBLASLT_EPILOGUE_DEFAULT),
            (_, true, Act::None) => Some(E::CUBLASLT_EPILOGUE_BIAS),
            (_, false, Act::Relu) => Some(E::CUBLASLT_EPILOGUE_RELU),
            (_, true, Act::Relu) => Some(E::CUBLASLT_EPILOGUE_RELU_BIAS),
            (_, false, Act::Gelu) => Some(E::CUBLASLT_EPILOGUE_GELU),
            (_, true, Act::Gelu) => Some(E::CUBLASLT_EPILOGUE_GELU_BIAS),
            _ => None,
        }
    }
}

/// Where a product's values are on the card.
struct Values {
    a: Buf,
    b: Buf,
    bias: Buf,
    residual: Buf,
    result: Buf,
    scratch: Buf,
}

impl Values {
    fn new(device: &dyn Device, p: &Product) -> Result<Values> {
        let random = |rows: usize, columns: usize, seed| -> Result<Buf> {
            let buf = alloc(device, Desc::new(&[rows, columns], DType::F16))?;
            let values: Vec<f32> = spread(rows * columns, seed).collect();
            device.upload(&bytes_of(&values, DType::F16), &buf, Stream::DEFAULT)?;
            Ok(buf)
        };
        let sides = |transposed, rows, columns| {
            if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            }
        };
        let (a, b) = (sides(p.trans_a, p.m, p.k), sides(p.trans_b, p.k, p.n));
        // The residual is as large as the result; where there is none, nothing reads it.
        let rows = if p.epilogue.residual { p.m } else { 1 };
        Ok(Values {
            a: random(a.0, a.1, 1)?,
            b: random(b.0, b.1, 2)?,
            bias: random(1, p.n, 3)?,
            residual: random(rows, p.n, 4)?,
            result: alloc(device, Desc::new(&[p.m, p.n], DType::F16))?,
            scratch: alloc(device, Desc::new(&[SCRATCH / 4], DType::F32))?,
        })
    }
}

/// What libcublasLt refused.
fn refused(call: &'static str) -> impl Fn(lt::CublasError) -> Error {
    move |e| Error::internal(format!("cuBLAS: {e}")).op(call)
}

/// A handle of the library, given back with this.
struct Library(sys::cublasLtHandle_t);

impl Library {
    fn open() -> Result<Library> {
        // SAFETY: it only looks whether the library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(Error::unsupported("no cuBLAS: libcublasLt was not found"));
        }
        lt::create_handle()
            .map(Library)
            .map_err(refused("cublasLtCreate"))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: `open` made the handle, and this is its only owner. A refusal changes nothing now.
        let _ = unsafe { lt::destroy_handle(self.0) };
    }
}

/// The descriptions of one product, given back with this. The library is column-major: it computes
/// the transposed result, whose factors are ours in the other order.
struct Described {
    product: sys::cublasLtMatmulDesc_t,
    a: sys::cublasLtMatrixLayout_t,
    b: sys::cublasLtMatrixLayout_t,
    c: sys::cublasLtMatrixLayout_t,
    wishes: sys::cublasLtMatmulPreference_t,
}

impl Described {
    fn new(p: &Product, values: &Values, epilogue: sys::cublasLtEpilogue_t) -> Result<Described> {
        use sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        use sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        use sys::cudaDataType_t::{CUDA_R_16F, CUDA_R_32F};
        let layout = |transposed, rows: usize, columns: usize| {
            let (rows, columns) = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            lt::create_matrix_layout(CUDA_R_16F, rows as u64, columns as u64, rows as i64)
                .map_err(refused("cublasLtMatrixLayoutCreate"))
        };
        let described = Described {
            product: lt::create_matmul_desc(CUBLAS_COMPUTE_32F, CUDA_R_32F)
                .map_err(refused("cublasLtMatmulDescCreate"))?,
            a: layout(p.trans_b, p.n, p.k)?,
            b: layout(p.trans_a, p.k, p.m)?,
            c: layout(false, p.n, p.m)?,
            wishes: lt::create_matmul_pref().map_err(refused("cublasLtMatmulPreferenceCreate"))?,
        };
        let (bias, scratch) = (values.bias.address(), SCRATCH as u64);
        let (turn_a, turn_b) = (i32::from(p.trans_b), i32::from(p.trans_a));
        for (name, value, bytes) in [
            (
                Attribute::CUBLASLT_MATMUL_DESC_TRANSA,
                (&raw const turn_a).cast(),
                4,
            ),
            (
                Attribute::CUBLASLT_MATMUL_DESC_TRANSB,
                (&raw const turn_b).cast(),
                4,
            ),
            (
                Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE,
                (&raw const epilogue).cast(),
                4,
            ),
            (
                Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                (&raw const bias).cast(),
                8,
            ),
        ] {
            // SAFETY: the description is live, and `value` points to so many live bytes.
            unsafe { lt::set_matmul_desc_attribute(described.product, name, value, bytes) }
                .map_err(refused("cublasLtMatmulDescSetAttribute"))?;
        }
        // SAFETY: the preference is live, and the number has 8 bytes.
        unsafe {
            let value = (&raw const scratch).cast();
            let name = CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            lt::set_matmul_pref_attribute(described.wishes, name, value, 8)
        }
        .map_err(refused("cublasLtMatmulPreferenceSetAttribute"))?;
        Ok(described)
    }

    /// The algorithms that the library names first.
    fn algorithms(&self, library: &Library) -> Result<Vec<sys::cublasLtMatmulAlgo_t>> {
        // SAFETY: these are plain numbers, for which all zeros are values.
        let mut found: [sys::cublasLtMatmulHeuristicResult_t; ALGORITHMS] =
            unsafe { std::mem::zeroed() };
        let mut count = 0;
        // SAFETY: every description is live, and there is room for so many answers.
        let code = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                library.0,
                self.product,
                self.a,
                self.b,
                self.c,
                self.c,
                self.wishes,
                ALGORITHMS as i32,
                found.as_mut_ptr(),
                &mut count,
            )
        };
        code.result()
            .map_err(refused("cublasLtMatmulAlgoGetHeuristic"))?;
        let some = found.iter().take(usize::try_from(count).unwrap_or(0));
        let good = some.filter(|f| f.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        Ok(good.map(|f| f.algo).collect())
    }

    /// Queues the product.
    fn run(
        &self,
        library: &Library,
        values: &Values,
        residual: bool,
        algorithm: &sys::cublasLtMatmulAlgo_t,
    ) -> Result<()> {
        let (one, keep) = (1f32, if residual { 1f32 } else { 0f32 });
        let at = |buf: &Buf| buf.address() as *mut c_void;
        let c = if residual {
            at(&values.residual)
        } else {
            at(&values.result)
        };
        // SAFETY: the layouts are of these buffers, which live on the card until the caller has waited;
        // the two factors of the sum are read before the call returns; null is the default stream.
        unsafe {
            lt::matmul(
                library.0,
                self.product,
                (&raw const one).cast(),
                (&raw const keep).cast(),
                at(&values.b),
                self.a,
                at(&values.a),
                self.b,
                c,
                self.c,
                at(&values.result),
                self.c,
                algorithm,
                at(&values.scratch),
                SCRATCH,
                null_mut(),
            )
        }
        .map_err(refused("cublasLtMatmul"))
    }
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: `new` made them, and this is their only owner. Refusals change nothing now.
        unsafe {
            let _ = lt::destroy_matmul_desc(self.product);
            for layout in [self.a, self.b, self.c] {
                let _ = lt::destroy_matrix_layout(layout);
            }
            let _ = lt::destroy_matmul_pref(self.wishes);
        }
    }
}

/// Microseconds of the best algorithm, and how many ran.
fn best(
    bench: &Bench,
    library: &Library,
    p: &Product,
    values: &Values,
    fused: bool,
) -> Result<Option<(f64, usize)>> {
    let bare = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT;
    let Some(epilogue) = (if fused { p.fused() } else { Some(bare) }) else {
        return Ok(None);
    };
    let described = Described::new(p, values, epilogue)?;
    let residual = fused && p.epilogue.residual;
    let (mut least, mut ran) = (f64::INFINITY, 0);
    for algorithm in described.algorithms(library)? {
        let mut run = || described.run(library, values, residual, &algorithm);
        // An algorithm may refuse after all.
        if let Ok(times) = bench.times(&mut run) {
            least = least.min(1e6 * median(&times));
            ran += 1;
        }
    }
    Ok((ran > 0).then_some((least, ran)))
}

/// One case beside cuBLAS.
fn compare(bench: &Bench, library: &Library, case: &Case) -> Result<Option<Value>> {
    let Some(product) = Product::of(&case.work) else {
        return Ok(None);
    };
    let ours = bench.measure(case)?;
    if ours.refused.is_some() {
        return Ok(None);
    }
    let values = Values::new(&*bench.device, &product)?;
    let bare = best(bench, library, &product, &values, false)?;
    let fused = best(bench, library, &product, &values, true)?;
    let Some((bare, algorithms)) = bare else {
        return Ok(None);
    };
    let us = ours.microseconds();
    let ratio = bare / us;
    println!("{us:>12.2} {bare:>12.2} {ratio:>7.3}  {}", case.name);
    Ok(Some(json!({
        "name": case.name,
        "family": ours.family,
        "uses": case.uses.iter().map(|(_, times)| times).sum::<usize>(),
        "product": [product.m, product.n, product.k],
        "flops": ours.flops,
        "ours_microseconds": us,
        "cublas_microseconds": bare,
        "cublas_same_epilogue_microseconds": fused.map(|(us, _)| us),
        "algorithms": algorithms,
        "ratio": ratio,
    })))
}

/// What the command line asks for.
struct Asked {
    filter: String,
    rounds: usize,
    batch: usize,
    size: usize,
    rows: usize,
    out: Option<String>,
}

fn asked() -> std::result::Result<Asked, String> {
    let mut a = Asked {
        filter: String::new(),
        rounds: 7,
        batch: 32,
        size: 512,
        rows: 70_000,
        out: None,
    };
    // cargo adds --bench of its own.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} wants a value"))?;
        let number = || {
            value
                .parse::<usize>()
                .map_err(|e| format!("{word} {value}: {e}"))
        };
        match word.as_str() {
            "--filter" => a.filter = value,
            "--rounds" => a.rounds = number()?,
            "--batch" => a.batch = number()?,
            "--size" => a.size = number()?,
            "--rows" => a.rows = number()?,
            "--out" => a.out = Some(value),
            _ => return Err(format!("{word} is no option")),
        }
    }
    Ok(a)
}

fn run(a: &Asked) -> Result<()> {
    let bench = Bench::open("cuda", a.rounds)?;
    let library = Library::open()?;
    let sizes = Sizes {
        side: a.size,
        rows: a.rows,
        ..Sizes::whole(a.batch, bench.precision)
    };
    println!("{:>12} {:>12} {:>7}", "us", "cuBLAS us", "ratio");
    let mut results = Vec::new();
    for case in cases(&*bench.device, &sizes)? {
        if case.name.contains(&a.filter) {
            results.extend(compare(&bench, &library, &case)?);
        }
    }
    // SAFETY: it takes nothing and gives a number.
    let version = unsafe { sys::cublasLtGetVersion() };
    let record = json!({
        "device": bench.device.info().name,
        "cublaslt": version,
        "rounds": a.rounds,
        "batch": a.batch,
        "size": a.size,
        "results": results,
    });
    match &a.out {
        Some(path) => std::fs::write(path, format!("{record:#}\n")).map_err(|e| Error::io(e, path)),
        None => {
            println!("{record:#}");
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    let done = asked().and_then(|a| run(&a).map_err(|e| e.to_string()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
