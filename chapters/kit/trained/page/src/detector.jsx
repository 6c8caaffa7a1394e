// Networks that find objects: choose, drop or paste a picture, and see the boxes (5.7).
import { suppressed } from './boxes.js';
import { Chooser, Framed, Last, Pixels, usePictures } from './chooser.jsx';
import { stretched } from './sample.js';
import { percent } from './words.js';

export function Detector({ network, run, words, language }) {
  const [, height, width] = network.shape;
  const pictures = usePictures(run, (picture) => ({ pixels: stretched(picture, height, width) }), async (run, { pixels }) => {
    const [boxes, scores] = await run(Float32Array.from(pixels, (value) => value * network.scale), [1, ...network.shape]);
    return { objects: suppressed(boxes.data, scores.data) };
  });
  const { chosen, busy } = pictures, classes = language === 'zh' ? network.classes_zh : network.classes;
  const objects = chosen?.objects, named = ({ label, score }) => `${classes[label]} ${percent(score)}`;
  return <div class="pictures">
    <Chooser network={network} words={words} pictures={pictures}>
      {chosen && <Framed picture={chosen} words={words}>
        {objects?.map((one) => <span class="box" aria-hidden="true" style={placed(one)}><b>{named(one)}</b></span>)}
      </Framed>}
    </Chooser>
    <section class="says">
      <h2>{words.found}</h2>
      <p role="status" class="answer" aria-busy={busy}>{!run ? words.loading : busy ? words.looking
        : objects ? words.objects(objects.length) : words.noPictureYet}</p>
      {objects ? <ol class="bars">
        {objects.map(({ label, score, box }) => <li>
          <span class="name" title={words.at(...box.map(percent))}>{classes[label]}</span>
          <meter max="1" value={score} aria-label={classes[label]} />
          <span class="share">{percent(score)}</span>
        </li>)}
      </ol> : <p class="hint">{words.finds(classes)}</p>}
      {chosen && <>
        <h2>{words.seen}</h2>
        <Pixels class={width < 112 ? 'seen coarse' : 'seen'} pixels={chosen.pixels} shape={network.shape} label={words.seen} />
        <p class="hint">{words.stretched(height, width)}</p>
      </>}
    </section>
    <Last words={words} pictures={pictures} said={({ objects }) => objects.map(({ label }) => classes[label]).join(' ') || words.nothingFound} />
  </div>;
}

/** Where a box is drawn, and its class's colour. */
function placed({ label, box }) {
  const [left, top, right, bottom] = box.map((edge) => 100 * Math.max(0, Math.min(1, edge)));
  return { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`, '--hue': 47 * label };
}
