// Networks of photographs: choose, drop or paste a picture, and see what the network says and what its layers do.
import { Chooser, Framed, Last, Pixels, usePictures } from './chooser.jsx';
import { Layers } from './layers.jsx';
import { softmax } from './planes.js';
import { sampleOf } from './sample.js';
import { percent } from './words.js';

const SHOWN = 5; // of the classes
const NAMED = 24; // of the classes, before there is a picture

export function Pictures({ network, run, words, language }) {
  const pictures = usePictures(run, (picture) => {
    const { pixels, frame: { left, top, width, height } } = sampleOf(picture, network);
    const share = (part, whole) => `${100 * part / whole}%`;
    return { pixels, frame: { left: share(left, picture.width), top: share(top, picture.height),
      width: share(width, picture.width), height: share(height, picture.height) } };
  }, async (run, { pixels }) => {
    const outputs = await run(Float32Array.from(pixels, (value) => value * network.scale), [1, ...network.shape]);
    return { probabilities: softmax(outputs[0].data), layers: outputs.slice(1).map(({ data }) => data) };
  });
  const { chosen, busy } = pictures, classes = language === 'zh' ? network.classes_zh : network.classes;
  const answer = chosen?.probabilities, best = answer && ranking(answer).slice(0, SHOWN);
  return <div class="pictures">
    <Chooser network={network} words={words} pictures={pictures}>
      {chosen && <Framed picture={chosen} words={words}><span class="frame" style={chosen.frame} aria-hidden="true" /></Framed>}
    </Chooser>
    <section class="says">
      <h2>{words.says}</h2>
      <p role="status" class="answer" aria-busy={busy}>{!run ? words.loading : busy ? words.looking
        : best ? words.answer(classes[best[0]], percent(answer[best[0]])) : words.noPictureYet}</p>
      {best ? <ol class="bars">
        {best.map((index, place) => <li class={place ? '' : 'best'}>
          <span class="name" title={classes[index]}>{classes[index]}</span>
          <meter max="1" value={answer[index]} aria-label={classes[index]} />
          <span class="share">{percent(answer[index])}</span>
        </li>)}
      </ol> : <p class="hint">{words.knows(classes.length, classes.slice(0, NAMED), classes.length - NAMED)}</p>}
      {chosen && <>
        <h2>{words.seen}</h2>
        <Pixels class={network.shape[2] < 112 ? 'seen coarse' : 'seen'} pixels={chosen.pixels} shape={network.shape} label={words.seen} />
        <p class="hint">{words.seenPicture(...network.shape)}</p>
      </>}
    </section>
    <Last words={words} pictures={pictures} said={({ probabilities }) => {
      const first = ranking(probabilities)[0];
      return `${classes[first]} ${percent(probabilities[first])}`;
    }} />
    {chosen && <Layers network={network} values={chosen.layers} words={words} />}
  </div>;
}

/** Numbers of the classes, the likeliest first. */
function ranking(probabilities) {
  return [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
}
