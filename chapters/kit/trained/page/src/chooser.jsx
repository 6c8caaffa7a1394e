// Pictures that are chosen, dropped, pasted or photographed, and what a network answers of each.
import { useEffect, useRef, useState } from 'preact/hooks';
import { readPicture } from './sample.js';

const KEPT = 8; // of the last pictures
const SIDE = 640; // of the picture as the page shows it

/**
 * The reader's pictures.
 *
 * `prepare(picture)` gives what is kept of one, `ask(run, one)` promises what is then added to it; it has `asked` before and
 * `answered` after that.
 */
export function usePictures(run, prepare, ask) {
  const [pictures, setPictures] = useState([]); // the newest first
  const [chosen, choose] = useState(null); // the picture shown
  const [over, setOver] = useState(false); // something is being dragged over the page
  const [problems, setProblems] = useState([]); // functions of the words, since the language may change
  const [looking, setLooking] = useState(0); // pictures on their way
  const take = useRef();

  // The function of this rendering, for listeners of the first: `run` may come later than the first picture.
  take.current = async (files) => {
    setProblems([]);
    setLooking((count) => count + files.length);
    for (const file of files) {
      try {
        const picture = await readPicture(file);
        const one = { name: file.name, ...previewOf(picture), ...prepare(picture) };
        picture.close?.();
        setPictures((all) => [one, ...all].slice(0, KEPT));
        choose(one);
      } catch {
        setProblems((all) => [...all, (words) => words.noPicture(file.name || words.pasted)]);
      }
      setLooking((count) => count - 1);
    }
  };
  useEffect(() => {
    const paste = (event) => {
      const files = [...event.clipboardData.files];
      if (!files.length) return;
      event.preventDefault();
      take.current(files);
    };
    const drag = (event) => {
      if (!event.dataTransfer.types.includes('Files')) return;
      event.preventDefault(); // or the browser would go to the file
      setOver(event.type === 'dragover');
      if (event.type === 'drop') take.current([...event.dataTransfer.files]);
    };
    const leave = (event) => { if (!event.relatedTarget) setOver(false); };
    const listeners = { paste, dragover: drag, drop: drag, dragleave: leave };
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
    return () => { for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener); };
  }, []);
  useEffect(() => { // ask the network about every picture once
    for (const one of run ? pictures : []) {
      if (one.asked) continue;
      one.asked = true;
      ask(run, one).then((answer) => {
        const answered = { ...one, ...answer, answered: true };
        setPictures((all) => all.map((other) => (other === one ? answered : other)));
        choose((other) => (other === one ? answered : other));
      }).catch((error) => setProblems((all) => [...all, (words) => words.failed + error.message]));
    }
  }, [run, pictures]);
  return { pictures, chosen, choose, over, problems, take, busy: looking > 0 || Boolean(chosen && !chosen.answered) };
}

/** The part of the page where they come in; `children`: the one that is shown. */
export function Chooser({ network, words, pictures: { chosen, over, problems, take }, children }) {
  const choose = (event) => {
    take.current([...event.target.files]);
    event.target.value = ''; // the same file may be chosen again
  };
  const show = async (address, name) => take.current([new File([await (await fetch(address)).blob()], name)]);
  return <section class="show">
    <h2>{words.picture}</h2>
    <div class={over ? 'drop over' : 'drop'}>
      {chosen ? children : <p class="hint drop-hint">{words.pictureHint}</p>}
      <div class="buttons">
        <label class="file">{words.choose}<input type="file" accept="image/*" multiple onChange={choose} /></label>
        <label class="file camera">{words.camera}
          <input type="file" accept="image/*" capture="environment" onChange={choose} />
        </label>
      </div>
    </div>
    {network.examples?.length > 0 && <div class="examples">
      <span class="hint">{words.examples}</span>
      {network.examples.map((address, index) => <button aria-label={words.example(index + 1)}
        onClick={() => show(address, words.example(index + 1))}><img src={address} draggable={false} alt="" /></button>)}
    </div>}
    {chosen && <p class="hint drop-hint">{words.pictureHint}</p>}
    <p class="hint">{words.stay}</p>
    <div role="alert">{problems.map((problem) => <p class="problem">{problem(words)}</p>)}</div>
  </section>;
}

/** The last of them; `said(one)`: what was answered, in a few words. */
export function Last({ words, pictures: { pictures, chosen, choose }, said }) {
  return pictures.length > 1 && <ul class="last" aria-label={words.last8}>
    {pictures.map((one) => {
      const text = one.answered ? said(one) : '…';
      return <li><button aria-pressed={one === chosen} title={one.name} aria-label={`${one.name}: ${text}`} onClick={() => choose(one)}>
        <img src={one.preview} draggable={false} alt="" /><span>{text}</span>
      </button></li>;
    })}
  </ul>;
}

/** The picture small enough to be kept, as a data address. */
function previewOf(picture) {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height)), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = canvas.getContext('2d', { alpha: false });
  Object.assign(context, { fillStyle: '#fff', imageSmoothingQuality: 'high' });
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return { preview: canvas.toDataURL('image/jpeg', 0.9), sides: [canvas.width, canvas.height] };
}

/** The picture that is shown; `children`: what lies over it. */
export function Framed({ picture: { name, preview, sides: [width, height] }, words, children }) {
  return <figure>
    <div class="framed" style={{ aspectRatio: `${width} / ${height}`, '--ratio': width / height }}>
      <img src={preview} draggable={false} alt={words.pictureOf(name)} />
      {children}
    </div>
    <figcaption class="hint">{name}</figcaption>
  </figure>;
}

/** Pixels (C, H, W) from 0 to 255, gray or in colour, as a picture. */
export function Pixels({ pixels, shape: [channels, height, width], label, ...others }) {
  const canvas = useRef();
  useEffect(() => {
    const context = canvas.current.getContext('2d'), image = context.createImageData(width, height);
    const area = height * width, next = channels === 3 ? area : 0; // from a pixel's red to its green
    for (let at = 0; at < area; at++) {
      for (let colour = 0; colour < 3; colour++) image.data[4 * at + colour] = pixels[at + next * colour];
      image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }, [pixels]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label={label} {...others} />;
}
