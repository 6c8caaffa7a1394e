// What a network's layers give, drawn: one square a plane.
import { useEffect, useRef } from 'preact/hooks';

/** The outputs of `network.layers`, or nothing yet. */
export function Layers({ network, values, words }) {
  return <section class="inside">
    <h2>{words.inside}</h2>
    <p class="hint">{words.insideHint}</p>
    <div class="layers">
      {network.layers.map(({ name, kind, shape, of }, index) => {
        const [count, height = 1, width = 1] = shape;
        const size = height * width > 1 ? words.planes(count, of, height, width) : words.units(count);
        return <figure>
          <figcaption><b>{kind}</b> <span>{name}, {size}</span></figcaption>
          <Planes values={values && values[index]} shape={[count, height, width]} paint={signed}
            label={`${name}: ${size}`} />
        </figure>;
      })}
    </div>
  </section>;
}

const FINEST = 64; // pixels of a plane: of larger ones every second, third, ... is drawn

const signed = (value) => (value >= 0 ? [20 + 235 * value, 20 + 140 * value, 25] : [20, 20 - 100 * value, 25 - 230 * value]);

/** Planes (count, height, width) side by side in one picture, scaled by the largest number of them all. */
export function Planes({ values, shape: [count, height, width], paint, label, ...others }) {
  const canvas = useRef();
  const columns = count <= 12 ? count : count <= 64 ? 8 : count <= 256 ? 16 : Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const step = Math.ceil(Math.max(height, width) / FINEST), [high, wide] = [Math.ceil(height / step), Math.ceil(width / step)];
  const gap = height * width > 1 ? 1 : 0;
  useEffect(() => {
    const context = canvas.current.getContext('2d');
    const picture = context.createImageData(canvas.current.width, canvas.current.height);
    let largest = 1e-9;
    for (const value of values ?? []) largest = Math.max(largest, Math.abs(value));
    for (let plane = 0; plane < count; plane++) {
      const left = (plane % columns) * (wide + gap), top = Math.floor(plane / columns) * (high + gap);
      for (let y = 0; y < high; y++) {
        for (let x = 0; x < wide; x++) {
          const value = values ? values[step * x + width * (step * y + height * plane)] / largest : 0;
          picture.data.set([...paint(value), 255], 4 * (left + x + picture.width * (top + y)));
        }
      }
    }
    context.putImageData(picture, 0, 0);
  }, [values]);
  return <canvas ref={canvas} width={columns * (wide + gap) - gap} height={rows * (high + gap) - gap} role="img" aria-label={label}
    {...others} />;
}
