// A network that has learnt a style: choose, drop or paste a picture, and see it restyled (5.8).
import { Chooser, Framed, Last, Pixels, usePictures } from './chooser.jsx';
import { stretched } from './sample.js';

const SIDE = 384; // of the picture that is made, its longer one
const STRIDE = 4; // its sides are multiples of it

export function Style({ network, run, words }) {
  const pictures = usePictures(run, (picture) => {
    const factor = SIDE / Math.max(picture.width, picture.height);
    const [height, width] = [picture.height, picture.width].map((side) => Math.max(32, STRIDE * Math.round(side * factor / STRIDE)));
    return { pixels: stretched(picture, height, width), shape: [3, height, width] };
  }, async (run, { pixels, shape }) => {
    const began = performance.now();
    const [{ data }] = await run(Float32Array.from(pixels, (value) => value / 255), [1, ...shape]);
    return { made: Uint8ClampedArray.from(data, (value) => 255 * value), seconds: (performance.now() - began) / 1000 };
  });
  const { chosen, busy } = pictures;
  const save = () => {
    const link = document.createElement('a');
    link.download = `${chosen.name.replace(/\.[^.]*$/, '')}-restyled.png`;
    link.href = document.querySelector('.restyled').toDataURL();
    link.click();
  };
  return <div class="pictures">
    <Chooser network={network} words={words} pictures={pictures}>
      {chosen && <Framed picture={chosen} words={words} />}
    </Chooser>
    <section class="says">
      <h2>{words.restyled}</h2>
      <p role="status" class="answer" aria-busy={busy}>{!run ? words.loading : busy ? words.painting
        : chosen ? words.painted(chosen.seconds.toFixed(1)) : words.noPictureYet}</p>
      {chosen?.made ? <>
        <Pixels class="restyled" pixels={chosen.made} shape={chosen.shape} label={words.restyled} />
        <p class="buttons"><button onClick={save}>{words.save}</button></p>
      </> : <p class="hint">{words.restyles}</p>}
    </section>
    <Last words={words} pictures={pictures} said={({ name }) => name} />
  </div>;
}
