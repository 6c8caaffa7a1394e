// The page: which network, which language, and below it the one view that fits the network.
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Codes } from './codes.jsx';
import { Detector } from './detector.jsx';
import { Digits } from './digits.jsx';
import { Go } from './go.jsx';
import { loadNetwork } from './network.js';
import { Pictures } from './pictures.jsx';
import { Style } from './style.jsx';
import { WORDS, firstLanguage } from './words.js';
import './style.css';

export { planesOf, position, sensibleMoves } from './planes.js'; // for the tests
export { choices } from './answers.js';
export { loadNetwork } from './network.js';
export { Player, playOut } from './playout.js';
export { RECORD } from './move78.js';
export { readRecord } from './record.js';
export { Search } from './search.js';
export { readPicture, sampleOf, stretched } from './sample.js';
export { suppressed } from './boxes.js';

const VIEWS = { image: Digits, picture: Pictures, boxes: Detector, style: Style, codes: Codes, go: Go };

function Page({ networks }) {
  const [language, setLanguage] = useState(firstLanguage);
  const [number, setNumber] = useState(0);
  const [loaded, setLoaded] = useState({});
  const words = WORDS[language], network = networks[number], View = VIEWS[network.kind];
  const title = network.title[language];
  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    document.title = title;
  }, [language, title]);
  useEffect(() => {
    let current = true; // no more, if another network is chosen before this one is there
    const set = (loaded) => current && setLoaded({ number, ...loaded });
    loadNetwork(network.model).then((run) => set({ run }), (error) => set({ error }));
    return () => { current = false; };
  }, [number]);
  const run = loaded.number === number ? loaded.run : null;
  const other = language === 'zh' ? 'en' : 'zh';
  const switchLanguage = () => {
    localStorage.setItem('language', other);
    setLanguage(other);
  };
  return <>
    <header>
      <h1>{title}</h1>
      <button class="language" lang={other === 'zh' ? 'zh-CN' : 'en'} title={words.switchLanguage} onClick={switchLanguage}>
        {words.language}
      </button>
      {networks.length > 1 && <label class="choice">{words.network}
        <select value={number} onChange={(event) => setNumber(Number(event.target.value))}>
          {networks.map((one, index) => <option value={index}>{one.name}: {one.title[language]}</option>)}
        </select>
      </label>}
    </header>
    <main>
      {loaded.error && loaded.number === number && <p role="alert">{words.failed}{String(loaded.error.message)}</p>}
      <View key={number} network={network} run={run} words={words} language={language} />
    </main>
    <footer>
      <span>{network.section}{network.name !== network.section && ` · ${network.name}`} · {network.parameters.toLocaleString()} {words.parameters}</span>
      <span> · {words.trainedOn(network.data[language])}</span>
      {network.accuracy != null && <span>{words.accuracy((100 * network.accuracy).toFixed(2))}</span>}
      {network.note && <span> ({network.note})</span>}
      <br />{words.local}
    </footer>
  </>;
}

const networks = await (await fetch('networks.json')).json();
render(<Page networks={networks} />, document.getElementById('page'));
