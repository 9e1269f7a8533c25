// The editor of an answer: the text on the left, what was changed on the right. It takes the place of the answers.
const { changes: differences } = await import(document.body.dataset.differences)
const LONGEST = 50_000 // characters, as the server counts them
const PAUSE = 200 // milliseconds after the last key until differences are drawn

const find = (selector, scope = document) => scope.querySelector(selector)
const tidy = text => text.replace(/^\n+/, "").trimEnd()
// What is seen of a text, as the server compares answers.
const folded = text => text.trim().split("\n").map(line => line.trimEnd()).join("\n")

/* Opens the editor in a sheet, for the answer of that number; 0: to write from nothing. `page` is what it needs of
   judge.js: where its draft is kept, how the form is sent, and what is done when it was closed. */
export function open(sheet, of, page) {
  const answers = [...sheet.querySelectorAll(".answer > .source")].map(source => source.textContent)
  const original = of ? answers[of - 1] : ""
  const own = find(`[data-own="${of}"]`, sheet)
  const drafts = readDrafts(page.draftName)
  const editor = document.importNode(find("#editor").content.firstElementChild, true)
  const text = find("textarea", editor)
  find("[data-title]", editor).textContent = of ? `Editing answer ${of} into a better one` : "Writing an answer"
  find("[name=edit_of]", editor).value = of
  text.value = drafts[of] ?? own?.value ?? original
  const restart = find("[data-edit-restart]", editor)
  restart.textContent = of ? `Start again from answer ${of}` : "Start again"

  let timer = null
  const draw = () => {
    drawChanges(editor, original, text.value)
    restart.hidden = text.value === original
  }
  const changed = () => {
    keep(editor, page.draftName, of, text.value === original ? null : text.value)
    find(".err", editor).hidden = true
    text.ariaInvalid = null
    clearTimeout(timer)
    timer = setTimeout(draw, PAUSE)
  }
  const close = () => {
    clearTimeout(timer)
    editor.remove()
    showBeside(sheet, true)
    page.closed()
  }
  const cancel = () => {
    close()
    find(".answers", sheet).focus({ preventScroll: true })
    page.hear("Back to the answers")
  }
  const save = () => {
    const wrong = whatIsWrong(text.value, of, answers)
    if (wrong) {
      tellWrong(editor, wrong)
      return
    }
    const line = find("[name=ranking]", sheet)
    if (line && !isWhole(line)) line.value = "" // what is half placed says nothing
    page.save()
    close()
  }

  text.addEventListener("input", changed)
  editor.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      save()
    } else if (event.key === "Escape" && !event.isComposing) {
      event.preventDefault()
      event.stopPropagation()
      cancel()
    }
  })
  restart.addEventListener("click", () => {
    text.focus()
    text.select()
    // As if it were typed, so that Ctrl+Z brings back what stood there.
    document.execCommand(original ? "insertText" : "delete", false, original)
  })
  find("[data-edit-save]", sheet).onclick = save
  find("[data-edit-cancel]", sheet).onclick = cancel

  find(".answers", sheet).before(editor)
  showBeside(sheet, false)
  find("[data-counts-as]", editor).textContent = countsAs(of, answers.length, find("[name=ranking]", sheet))
  if (drafts[of] !== undefined) tellKept(editor, "This is your draft, kept from before")
  draw()
  text.focus({ preventScroll: true })
  text.setSelectionRange(0, 0)
  editor.scrollIntoView({ block: "nearest" })
}

// The answers, and what the bar offers for them.
function showBeside(sheet, shown) {
  for (const part of sheet.querySelectorAll(".answers, .swipe, .prompt > .view, .first, .others, .why")) part.hidden = !shown
  find("[data-editing]", sheet).hidden = shown
}

const isWhole = line => (line.value.match(/\d/g) ?? []).length === +find(".shelf").dataset.of

function countsAs(of, slots, line) {
  if (!of) return `Counts as: your text is good, ${slots === 2 ? "both answers are" : `all ${slots} answers are`} bad`
  if (line && isWhole(line)) return `Counts as: your text > ${line.value.replace(/[>=]/g, " $& ")}`
  return `Counts as: your text > answer ${of} > ${slots === 2 ? `answer ${3 - of}` : "the others"}`
}

function whatIsWrong(value, of, answers) {
  const text = tidy(value)
  const length = [...text].length
  if (!text.trim()) return "Your text is empty. Write an answer, or choose one of those shown."
  if (length > LONGEST) {
    return `Your text has ${length.toLocaleString("en")} characters; at most ${LONGEST.toLocaleString("en")} are taken. Shorten it.`
  }
  const same = answers.findIndex(answer => folded(answer) === folded(text)) + 1
  if (!same) return ""
  if (same === of) return `You changed nothing in answer ${of}. Change it, or choose it as it is.`
  return `Your text reads like answer ${same}. Change it, or choose answer ${same}.`
}
function tellWrong(editor, wrong) {
  const line = find(".err", editor)
  line.textContent = wrong
  line.hidden = false
  find("textarea", editor).ariaInvalid = true
  find("textarea", editor).focus()
}

/* ---------- the draft ---------- */

function readDrafts(name) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? {}
  } catch { // barred or damaged
    return {}
  }
}
function keep(editor, name, of, text) {
  const drafts = readDrafts(name)
  if (text === null) delete drafts[of]
  else drafts[of] = text
  try {
    if (Object.keys(drafts).length) localStorage.setItem(name, JSON.stringify(drafts))
    else localStorage.removeItem(name)
    const clock = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    tellKept(editor, text === null ? "" : `Draft kept ${clock}`)
  } catch {
    tellKept(editor, "The draft is not kept: this browser has no room left. Save before you leave the page.")
  }
}
function tellKept(editor, words) {
  const line = find("[data-kept]", editor)
  if (line.textContent !== words) line.textContent = words
}

/* ---------- what was changed ---------- */

function drawChanges(editor, before, after) {
  const heading = find("[data-changed]", editor)
  const found = differences(tidy(before), tidy(after))
  if (!found) {
    heading.textContent = "The texts are too long to show what was changed."
    find("[data-difference]", editor).textContent = after
    return
  }
  const count = side => found.filter(piece => piece[side]).reduce((sum, piece) => sum + piece.words, 0)
  const [out, into] = [count("removed"), count("added")]
  const changed = found.some(piece => piece.added || piece.removed)
  heading.textContent = changed ? `What you changed: ${out} ${out === 1 ? "word" : "words"} out, ${into} in`
    : "Nothing is changed yet"
  find("[data-difference]", editor).replaceChildren(...found.map(({ text, added, removed }) => {
    if (!added && !removed) return document.createTextNode(text)
    const part = document.createElement(added ? "ins" : "del")
    part.textContent = text
    return part
  }))
}
