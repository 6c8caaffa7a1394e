// In place of Node's `fs`, which @sabaki/sgf names and the page never calls.
export default {};
