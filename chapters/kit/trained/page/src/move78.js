// AlphaGo (black) against Lee Sedol, 13 March 2016, game 4, up to AlphaGo's answer to move 78: GAME of 6.2.6's thinking.py.
export const MOVE = 78;

const GAME = 'pd dp cd qp op oq nq pq cn fq mp po iq ec hd cg ed cj dc bp nc qi ep eo dk fp ck dj ej ei fi eh fh bj fk fg gg ff gf '
  + 'mc md lc nb id hc jg pj pi oj oi ni nh mh ng mg mi nj mf li ne nd mj lf mk me nf lh qj kk ik ji gh hj ge he fd fc '
  + 'ki jj';
const moves = GAME.split(' ').map((point, number) => `;${'BW'[number % 2]}[${point}]`);

export const RECORD = `(;GM[1]SZ[19]KM[7.5]PB[AlphaGo]PW[Lee Sedol]RE[W+R]${moves.join('')})`;
