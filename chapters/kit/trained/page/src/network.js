// A network, as the server exported it to ONNX, in the browser: onnxruntime on WebAssembly, one thread.
import * as ort from 'onnxruntime-web/wasm';

ort.env.logLevel = 'error'; // it would remark on some processors
ort.env.wasm.numThreads = 1; // more would need SharedArrayBuffer, which a plain http address has not
ort.env.wasm.wasmPaths = { wasm: new URL('ort.wasm', import.meta.url).href };

/**
 * Load a network.
 *
 * Returns a function (data Float32Array, shape, wanted) -> promise of [{data, dims}], its outputs in their order. Calls are
 * answered one after another, with [] where `wanted()` is no longer true when it is a call's turn.
 */
export async function loadNetwork(url) {
  const session = await ort.InferenceSession.create(url, { logSeverityLevel: 3 });
  let before = Promise.resolve();
  return function run(data, shape, wanted = () => true) {
    const answer = before.then(async () => {
      if (!wanted()) return [];
      const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', data, shape) });
      return session.outputNames.map((name) => outputs[name]);
    });
    before = answer.catch(() => {});
    return answer;
  };
}
