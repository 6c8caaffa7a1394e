// What the page says, in English and Chinese.
export const WORDS = {
  en: {
    language: '中文', switchLanguage: '用中文显示本页', network: 'Network', loading: 'Loading the network…',
    failed: 'This did not work: ', trainedOn: (data) => `trained on ${data}`, accuracy: (share) => `, ${share}% right on validation data`, parameters: 'parameters',
    local: 'Everything runs in this browser; nothing is sent anywhere.',

    draw: 'Draw here', drawHint: 'With mouse or finger. By keyboard: arrow keys move the pen, space lifts and lowers it, '
      + 'Escape clears.',
    clear: 'Clear', seen: 'What the network sees', seenCentred: 'as it learnt them: 20 pixels high, the centre of mass in the middle',
    says: 'What it says', nothingYet: 'Nothing drawn yet.', inside: 'Inside the network',
    insideHint: 'The output of each layer, one square a plane. Orange: above 0; blue: below; each layer on its own scale.',
    planes: (count, all, height, width) => `${count < all ? `the first ${count} of ` : ''}${all} planes of ${height}×${width}`, units: (count) => `${count} units`,
    answer: (name, share) => `The network says ${name}, ${share}.`,

    picture: 'A picture of yours', pictureHint: 'Choose pictures, drop them anywhere on this page, or paste one (Ctrl+V).',
    choose: 'Choose pictures', camera: 'Take a photograph', pasted: 'What was pasted', last8: 'The last pictures',
    stay: 'Your pictures stay in this browser: none is sent anywhere, and none is kept.',
    noPicture: (name) => `${name} is damaged, or no picture that a browser reads (JPEG, PNG, WebP).`,
    noPictureYet: 'No picture yet.', looking: 'The network is looking…', pictureOf: (name) => `Your picture ${name}`,
    knows: (count, names, more) => `It knows ${count.toLocaleString('en')} classes: ${names.join(', ')}${more > 0 ? `, and ${more} more` : ''}.`,
    seenPicture: (channels, height, width) => `${width}×${height} pixels${channels === 1 ? ', gray' : ''}: the shorter side made to fit, `
      + 'then the middle cut out.',

    examples: 'Or one of these:', example: (number) => `Example ${number}`,
    found: 'What it finds', nothingFound: 'nothing', objects: (count) => (count ? `${count} ${count === 1 ? 'object' : 'objects'} found.` : 'Nothing found.'),
    at: (left, top, right, bottom) => `${left} to ${right} across, ${top} to ${bottom} down`,
    finds: (names) => `It finds ${names.join(', ')}, and nothing else.`,
    stretched: (height, width) => `${width}×${height} pixels: the whole picture, whatever its proportions.`,
    restyled: 'In the style that it has learnt', painting: 'The network is painting…', painted: (seconds) => `Painted in ${seconds} s, in this browser.`,
    save: 'Save', restyles: 'It gives any picture the style of one painting, 384 pixels at its longer side; '
      + 'python -m chapters style also makes larger ones.',

    made: 'What the network makes of it', map: 'Map of codes', mapHint: 'Point anywhere, or drag. By keyboard: arrow keys. Every place is a code of '
      + 'two numbers from −3 to 3; neighbours look alike.',
    place: (x, y) => `The code is (${x}, ${y}).`,
    meanings: (count) => `The ${count} values of c1, which the network found by itself`,
    meaningsHint: 'Nobody told it what a digit is: a part of the code had to be readable from the image, and became the digit. Choose one.',
    numbers: 'The other numbers of the code', newNoise: 'New noise',
    way: 'From one code to another', wayName: 'way', onTheWay: (share) => `${share}% of the way`, newCodes: 'Two new codes', back: 'Back to the first',
    numbersOf: (count, all) => `The first ${count} of ${all} numbers, each moved by itself`,
    numbersHint: 'No single number means anything by itself; along the way between two codes there are digits, or what could be some.',

    board: 'Go board', boardHint: 'Click or tap to play. By keyboard: arrow keys move the mark, Enter plays.',
    tapAgain: (point) => `Tap ${point} again to play there.`,
    komi: 'Komi', handicap: 'Handicap (new game)', jigo: 'The game is a draw.',
    you: 'You play', black: 'Black', white: 'White', both: 'both sides', newGame: 'New game', undo: 'Take back',
    pass: 'Pass', open: 'Open a game record (SGF)', showMoves: 'Show the network’s moves', showOwners: 'Show whose each point will be',
    sides: 'Look from all 8 sides (slower, stronger)',
    first: 'To the beginning', previous: 'One move back', next: 'One move on', last: 'To the end',
    toPlay: (colour) => `${colour} to play`, move: 'Move', of: 'of', captured: 'Captured ',
    byBlack: 'by Black', byWhite: 'by White', thinking: 'The network is thinking…',
    top: 'The network’s first 9 moves', nextInRecord: (point, rank, share) =>
      `Played next in the record: ${point}, the network’s choice number ${rank} with ${share}.`,
    passed: (colour) => `${colour} passes.`, played: (colour, point) => `${colour} plays ${point}.`,
    occupied: (point) => `${point} is illegal: there is a stone.`, ko: (point) => `${point} is illegal: ko, take it back later.`,
    suicide: (point) => `${point} is illegal: it would have no liberty.`,
    superko: (point) => `${point} is illegal: the board would be as it was before.`,
    noRecord: 'This file is not a game record that can be read.', wrongSize: (columns, rows, ours) =>
      `This record is on ${columns}×${rows}; the network plays on ${ours}×${ours}.`,
    players: (black, white) => `Black: ${black || '?'}, White: ${white || '?'}`, result: (text) => `Result: ${text}`,
    move78: 'Move 78 of Lee Sedol', aboutMove78: 'AlphaGo (black) against Lee Sedol, 13 March 2016, game 4. White 78 stands at L11; AlphaGo '
      + 'answered K10, and lost the game. The network of the book answers L10.',
    illegalMove: (number) => `Move ${number} of this record is illegal; it was not opened.`, noMoves: 'This record has neither moves nor stones.',
    over: 'Both have passed.', dead: 'Click on dead stones to take them off.',
    score: (black, white, komi) => `Area: Black ${black}, White ${white} + komi ${komi}.`,
    wins: (colour, lead) => `${colour} wins by ${lead}.`,
    empty: 'empty', stone: (colour) => `${colour} stone`,
    judged: (colour, points, share) => `The network thinks that ${colour} is ${points} points ahead, and wins with ${share}.`,
    valueOfEach: 'Value of each move', valuesOf: (colour) => `${colour}’s chance to win after each move`,
    valuing: (done, all) => `${done} of ${all} moves judged…`, noMove: 'There is no move to judge.',
    bestByValue: (point, colour, share) => `The network thinks ${point} best: ${colour} then wins with ${share}.`,
    valuesHint: 'By one look from one side after each of the 20 likeliest moves; nothing is read ahead.',
    winsWith: (colour, share) => `${colour} then wins with ${share}`,
    ownedBy: (colour, percents) => `${colour}’s with ${percents}%`,
    plain: 'It is the network alone, without search, and it knows nothing of passing: it passes after you when the game is well on.',
  },
  zh: {
    language: 'English', switchLanguage: 'Show this page in English', network: '网络', loading: '正在载入网络……',
    failed: '出错了：', trainedOn: (data) => `训练数据：${data}`, accuracy: (share) => `，验证正确率 ${share}%`, parameters: '个参数',
    local: '一切都在本浏览器中运行，不向任何地方发送数据。',

    draw: '在此书写', drawHint: '用鼠标或手指书写。键盘：方向键移动笔，空格键起落笔，Esc 清除。',
    clear: '清除', seen: '网络看到的', seenCentred: '与训练图片相同：高 20 像素，重心居中',
    says: '网络的回答', nothingYet: '还没有写。', inside: '网络内部',
    insideHint: '各层的输出，每个方块是一个特征层。橙色大于 0，蓝色小于 0，每层单独缩放。',
    planes: (count, all, height, width) => `${all} 层 ${height}×${width}${count < all ? `，显示前 ${count} 层` : ''}`, units: (count) => `${count} 个神经元`,
    answer: (name, share) => `网络认为是 ${name}，${share}。`,

    picture: '您的图片', pictureHint: '选择图片，或拖到本页任意处，或粘贴（Ctrl+V）。',
    choose: '选择图片', camera: '拍照', pasted: '粘贴的内容', last8: '最近的图片',
    stay: '图片只留在本浏览器中：不发送到任何地方，也不保存。',
    noPicture: (name) => `${name}：已损坏，或不是浏览器能读取的图片（JPEG、PNG、WebP）。`,
    noPictureYet: '还没有图片。', looking: '网络正在看……', pictureOf: (name) => `您的图片 ${name}`,
    knows: (count, names, more) => `它认识 ${count.toLocaleString('en')} 类：${names.join('、')}${more > 0 ? `，以及另外 ${more} 类` : ''}。`,
    seenPicture: (channels, height, width) => `${width}×${height} 像素${channels === 1 ? '，灰度' : ''}：缩放短边，再取中央部分。`,

    examples: '或选一张示例：', example: (number) => `示例 ${number}`,
    found: '找到的物体', nothingFound: '无', objects: (count) => (count ? `找到 ${count} 个物体。` : '没有找到物体。'),
    at: (left, top, right, bottom) => `横向 ${left} 至 ${right}，纵向 ${top} 至 ${bottom}`,
    finds: (names) => `它只能找到：${names.join('、')}。`,
    stretched: (height, width) => `${width}×${height} 像素：整张图片直接缩放，不保持长宽比。`,
    restyled: '它学会的风格', painting: '网络正在作画……', painted: (seconds) => `在本浏览器中用 ${seconds} 秒画成。`,
    save: '保存', restyles: '它把一幅画的风格用到任意图片上，结果的长边为 384 像素；更大的图可用 python -m chapters style 生成。',

    made: '网络画出的图', map: '编码地图', mapHint: '点击或拖动任意位置；键盘用方向键。每个位置是由 −3 到 3 的两个数组成的编码，相邻的编码图像相似。',
    place: (x, y) => `编码为 (${x}, ${y})。`,
    meanings: (count) => `c1 的 ${count} 个取值，由网络自行发现`,
    meaningsHint: '没有人告诉它什么是数字：编码的一部分必须能从图像中读出，于是它变成了数字。请选择一个。',
    numbers: '编码中的其他数', newNoise: '换一组噪声',
    way: '从一个编码到另一个', wayName: '路程', onTheWay: (share) => `走了 ${share}%`, newCodes: '换两个编码', back: '回到第一个',
    numbersOf: (count, all) => `${all} 个数中的前 ${count} 个，逐个移动`,
    numbersHint: '单个数本身没有含义；但两个编码之间的路上都是数字，或近似数字的图像。',

    board: '围棋棋盘', boardHint: '点击落子。键盘：方向键移动标记，回车键落子。',
    tapAgain: (point) => `再点一次 ${point} 即落子。`,
    komi: '贴目', handicap: '让子（新对局）', jigo: '和棋。',
    you: '您执', black: '黑', white: '白', both: '双方', newGame: '新对局', undo: '悔棋',
    pass: '停一手', open: '打开棋谱（SGF）', showMoves: '显示网络的选点', showOwners: '显示每个点将归谁', sides: '从 8 个方向看（较慢，更强）',
    first: '到开头', previous: '后退一手', next: '前进一手', last: '到末尾',
    toPlay: (colour) => `轮到${colour}方`, move: '第', of: '/', captured: '',
    byBlack: '黑提', byWhite: '白提', thinking: '网络正在思考……',
    top: '网络的前 9 个选点', nextInRecord: (point, rank, share) => `棋谱的下一手：${point}，是网络的第 ${rank} 选择，${share}。`,
    passed: (colour) => `${colour}方停一手。`, played: (colour, point) => `${colour}方下在 ${point}。`,
    occupied: (point) => `不能下在 ${point}：已有棋子。`, ko: (point) => `不能下在 ${point}：打劫，请先走别处。`,
    suicide: (point) => `不能下在 ${point}：没有气。`, superko: (point) => `不能下在 ${point}：会重复先前的局面。`,
    noRecord: '这个文件不是可以读懂的棋谱。', wrongSize: (columns, rows, ours) =>
      `棋谱是 ${columns === rows ? columns : `${columns}×${rows}`} 路，网络下 ${ours} 路。`,
    players: (black, white) => `黑：${black || '？'}，白：${white || '？'}`, result: (text) => `结果：${text}`,
    move78: '李世石的第 78 手', aboutMove78: 'AlphaGo（黑）对李世石，2016 年 3 月 13 日，第四局。白 78 下在 L11；AlphaGo 应在 K10，最终输掉了这一局。'
      + '书中的网络应在 L10。',
    illegalMove: (number) => `棋谱的第 ${number} 手不合规则，没有打开。`, noMoves: '棋谱里既没有着手，也没有棋子。',
    over: '双方停手。', dead: '点击死子可将其取走。',
    score: (black, white, komi) => `数子：黑 ${black}，白 ${white}，贴 ${komi} 目。`,
    wins: (colour, lead) => `${colour}胜 ${lead} 目。`,
    empty: '空点', stone: (colour) => `${colour}子`,
    judged: (colour, points, share) => `网络认为${colour}方领先 ${points} 目，胜率 ${share}。`,
    valueOfEach: '每一手的价值', valuesOf: (colour) => `各手之后${colour}方的胜率`,
    valuing: (done, all) => `已判断 ${all} 手中的 ${done} 手……`, noMove: '没有可以判断的着法。',
    bestByValue: (point, colour, share) => `网络认为 ${point} 最好：此后${colour}方胜率 ${share}。`,
    valuesHint: '在可能性最大的 20 手之后各看一次棋盘（只从一个方向），不往下计算变化。',
    winsWith: (colour, share) => `此后${colour}方胜率 ${share}`,
    ownedBy: (colour, percents) => `归${colour}方，${percents}%`,
    plain: '这里只有网络，没有搜索；它不懂何时停手，棋局后半段您停一手，它也停一手。',
  },
};

/** The language to begin with: the one chosen last, else the browser's. */
export function firstLanguage() {
  return localStorage.getItem('language') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
