// Word-level differences between two rendered answers. Loaded when somebody asks: (await import(…)).mark(first, second).
import { diffArrays } from "./vendor/diff/array.js"

const MOST_CHARACTERS = 300_000 // of both texts together; so many words:
const MOST_WORDS = 20_000
const WORDS_MS = 500 // then sentences are compared instead: quicker, and of use where little is alike
const SENTENCES_MS = 300

const splitters = {}
const splitter = granularity => splitters[granularity] ??= new Intl.Segmenter(undefined, { granularity })

/* Marks in both elements what the other has not. Returns "words" or "sentences", what was compared, or false if the
   texts are too long for that; then nothing is marked. Only text is wrapped, and a formula as a whole. */
export function mark(first, second) {
  unmark(first, second)
  if (first.textContent.length + second.textContent.length > MOST_CHARACTERS) return false
  for (const [granularity, ms] of [["word", WORDS_MS], ["sentence", SENTENCES_MS]]) {
    const [left, right] = [pieces(first, granularity), pieces(second, granularity)]
    if (left.length + right.length > MOST_WORDS) continue
    const changes = diffArrays(left.map(piece => piece.text), right.map(piece => piece.text), { timeout: ms })
    if (!changes) continue
    wrap(left, changes, "removed")
    wrap(right, changes, "added")
    return `${granularity}s`
  }
  return false
}

/* Compares two texts. Returns their pieces in order, { text, added, removed, words }, of words or, where there is too much
   of these, of lines; or false if the texts are too long for that. */
export function changes(before, after) {
  if (before.length + after.length > MOST_CHARACTERS) return false
  const words = text => [...splitter("word").segment(text)]
  const lines = text => (text.match(/.*\n|.+$/g) ?? []).map(segment => ({ segment, isWordLike: true }))
  for (const [pieces, ms] of [[words, WORDS_MS], [lines, SENTENCES_MS]]) {
    const [left, right] = [pieces(before), pieces(after)]
    if (left.length + right.length > 2 * MOST_WORDS) continue // blanks are pieces too
    const found = diffArrays(left.map(one => one.segment), right.map(one => one.segment), { timeout: ms })
    if (!found) continue
    const wordLike = new Set([...left, ...right].filter(one => one.isWordLike).map(one => one.segment))
    return found.map(({ value, added, removed }) => (
      { text: value.join(""), added, removed, words: value.filter(one => wordLike.has(one)).length }))
  }
  return false
}

/* Takes all marks out again; the elements are then as they were. */
export function unmark(...elements) {
  for (const element of elements) {
    for (const found of element.querySelectorAll("mark[data-difference]")) found.replaceWith(...found.childNodes)
    element.normalize()
  }
}

// What is compared, in order: { text, node, from, to } for a piece of a text node, { text, node } for a formula.
function pieces(element, granularity) {
  const found = []
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT, node => {
    if (node.localName === "math") {
      found.push({ text: node.textContent, node })
      return NodeFilter.FILTER_REJECT
    }
    return node.nodeType === Node.TEXT_NODE ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP
  })
  while (walker.nextNode()) {
    const node = walker.currentNode
    for (const { segment, index } of splitter(granularity).segment(node.data)) {
      const text = segment.trim()
      if (!text) continue
      const from = index + segment.indexOf(text)
      found.push({ text, node, from, to: from + text.length })
    }
  }
  return found
}

// Pieces of one text node that follow each other become one mark.
function wrap(pieces, changes, side) {
  const other = side === "added" ? "removed" : "added"
  const runs = []
  let at = 0
  for (const change of changes) {
    if (change[other]) continue
    if (change[side]) {
      for (const piece of pieces.slice(at, at + change.count)) {
        const last = runs.at(-1)
        if (last?.end === at && last.node === piece.node) Object.assign(last, { to: piece.to, end: ++at })
        else runs.push({ ...piece, end: ++at })
      }
    } else at += change.count
  }
  // From the end, so that what is cut off a text node leaves the places before it as they are.
  for (const { node, from, to } of runs.reverse()) {
    const marked = node.nodeType === Node.TEXT_NODE ? cut(node, from, to) : node
    const box = document.createElement("mark")
    box.dataset.difference = ""
    marked.replaceWith(box)
    box.append(marked)
  }
}
function cut(node, from, to) {
  if (to < node.length) node.splitText(to)
  return from ? node.splitText(from) : node
}
