// Ranking by clicks, by keys, by dragging. The line is kept as it is sent, "3>1=4", in the field that would be typed into.
let page = null // what the judge page gives: find, findAll, hear, keepDraft, isEdited

export function begin(judgePage) {
  if (page) return
  page = judgePage
  document.addEventListener("click", onClick)
  document.addEventListener("keydown", onKey)
  document.addEventListener("pointerdown", takeUp)
  document.addEventListener("pointermove", carry)
  document.addEventListener("pointerup", drop)
  document.addEventListener("pointercancel", dropNowhere)
}
const find = (...given) => page.find(...given)
const findAll = (...given) => page.findAll(...given)

const ORDINALS = ["Best", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th"]
let ranking = null // the answers placed so far, the signs between them, whether the next one ties with the last

const shelf = () => find(".shelf")

export function setUp() {
  ranking = null
  if (!shelf()) return
  const input = find("[name=ranking]")
  const placed = /^[1-8]([>=][1-8])*$/.test(input.value) ? input.value : ""
  ranking = { numbers: placed.match(/\d/g) ?? [], signs: placed.match(/[>=]/g) ?? [], tie: false }
  input.closest(".typed").hidden = true
  shelf().hidden = false
  drawRanking()
}

function place(number) {
  if (ranking.numbers.includes(number)) {
    takeOut(number)
    return
  }
  if (ranking.numbers.length) ranking.signs.push(ranking.tie ? "=" : ">")
  ranking.numbers.push(number)
  ranking.tie = false
}
function takeOut(number) {
  const { numbers, signs } = ranking
  const at = numbers.indexOf(number)
  if (at < 0) return
  // What stood around it is a tie only if both signs were.
  const around = signs.splice(Math.max(at - 1, 0), at > 0 && at < numbers.length - 1 ? 2 : 1)
  numbers.splice(at, 1)
  if (around.length === 2) signs.splice(at - 1, 0, around.includes(">") ? ">" : "=")
  ranking.tie = false
}
function takeLast() {
  if (ranking.tie) ranking.tie = false
  else {
    ranking.numbers.pop()
    ranking.signs.pop()
  }
}
// Put an answer before another one, or level with it; at the end where there is no other one.
function putAt(number, other, level) {
  if (number === other) return
  takeOut(number)
  const { numbers, signs } = ranking
  const at = other === null ? numbers.length : numbers.indexOf(other) + (level ? 1 : 0)
  if (numbers.length) {
    if (level) signs.splice(at - 1, 0, "=")
    else signs.splice(Math.min(at, signs.length), 0, ">")
  }
  numbers.splice(at, 0, number)
}

function chip(className, label, text, data) {
  const button = document.createElement("button")
  button.type = "button"
  button.className = className
  button.ariaLabel = label
  button.textContent = text
  Object.assign(button.dataset, data)
  return button
}
function note(text) {
  const span = document.createElement("span")
  span.textContent = text
  return span
}
function sign(at) {
  const { numbers, signs } = ranking
  const [before, after] = [numbers[at], numbers[at + 1]]
  const label = signs[at] === "=" ? `Answers ${before} and ${after} tie. Press for a step`
    : `Answer ${before} is better than ${after}. Press for a tie`
  return chip("rel", label, signs[at], { at })
}
function drawRanking() {
  const { numbers, signs, tie } = ranking
  const all = Array.from({ length: +shelf().dataset.of }, (_, i) => `${i + 1}`)
  const left = all.filter(number => !numbers.includes(number))
  const parts = [note("Best")]
  numbers.forEach((number, i) => {
    if (i) parts.push(sign(i - 1))
    parts.push(chip("n", `Answer ${number}. Press to take it out`, number, { n: number }))
  })
  if (tie) parts.push(chip("rel", "The next answer ties. Press for a step", "=", { at: "next" }))
  if (left.length) {
    const split = document.createElement("i")
    split.className = "split"
    parts.push(split, note("To place"), ...left.map(n => chip("n todo", `Put answer ${n} next`, n, { n })))
  } else parts.push(note("Last"))
  for (const button of parts) if (button.dataset.n) button.setAttribute("aria-keyshortcuts", button.dataset.n)

  const { n, at } = document.activeElement.closest(".shelf button")?.dataset ?? {}
  shelf().replaceChildren(...parts)
  find("[name=ranking]").type = "hidden"
  find("[name=ranking]").value = numbers.map((number, i) => (i ? signs[i - 1] : "") + number).join("")
  find("[name=choice][value=rank]").ariaDisabled = left.length > 0
  if (n) find(`.shelf [data-n="${n}"]`)?.focus()
  if (at) find(`.shelf [data-at="${at}"]`)?.focus()
  drawPlaces()
}
function drawPlaces() {
  const tiers = ranking.numbers.length ? find("[name=ranking]").value.split(">").map(tier => tier.split("=")) : []
  for (const label of findAll("[data-place]")) {
    const tier = tiers.findIndex(tier => tier.includes(label.dataset.place))
    const before = tiers.slice(0, tier).flat().length
    label.textContent = tier < 0 ? "" : ORDINALS[before] + (tiers[tier].length > 1 ? ", tied" : "")
  }
}

function changeRanking(change) {
  change()
  drawRanking()
  page.keepDraft()
  const line = find("[name=ranking]").value.replaceAll(">", " better than ").replaceAll("=", " ties with ")
  const left = +shelf().dataset.of - ranking.numbers.length
  page.hear(`${line || "Nothing placed"}. ${left ? `${left} to place` : "All are placed"}`)
}
function onClick(event) {
  const { n, at } = event.target.closest(".shelf button")?.dataset ?? {}
  // A click leaves the focus on the button, where Enter would press it again instead of saving.
  if ((n || at) && event.detail) document.activeElement.blur()
  if (n) changeRanking(() => place(n))
  else if (at === "next") changeRanking(() => { ranking.tie = false })
  else if (at) changeRanking(() => { ranking.signs[at] = ranking.signs[at] === "=" ? ">" : "=" })
}
function onKey(event) {
  if (!ranking || event.ctrlKey || event.metaKey || event.altKey || find("[role=dialog]:popover-open")) return
  if (event.target.closest("input, textarea, select") || find("[data-asks]:not([hidden])") || page.isEdited()) return
  if (document.documentElement.dataset.keys === "off") return
  if (event.key === "Backspace") changeRanking(takeLast)
  if (event.key === "=" || event.key === ">") {
    const open = ranking.numbers.length && ranking.numbers.length < +shelf().dataset.of
    changeRanking(() => { ranking.tie = open && event.key === "=" })
  }
}

// Dragging, by mouse, pen or finger: before another answer, onto it for a tie, or away from the line to take it out.
const SLACK = 6 // pixels: less is a click
let drag = null

function takeUp(event) {
  const button = event.target.closest(".shelf [data-n]")
  if (!button || event.button) return
  drag = { number: button.dataset.n, button, x: event.clientX, y: event.clientY, moved: false }
}
function carry(event) {
  if (!drag) return
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y]
  if (!drag.moved && Math.hypot(dx, dy) < SLACK) return
  if (!drag.moved) drag.button.setPointerCapture(event.pointerId)
  drag.moved = true
  drag.button.classList.add("dragged")
  drag.button.style.transform = `translate(${dx}px, ${dy}px)`
  const { target, level } = dropPlace(event)
  for (const chip of findAll(".shelf [data-n]")) {
    chip.classList.toggle("onto", chip.dataset.n === target && level)
    chip.classList.toggle("before", chip.dataset.n === target && !level)
  }
}
function dropPlace(event) {
  const box = shelf().getBoundingClientRect()
  const away = event.clientY < box.top - 48 || event.clientY > box.bottom + 48
  if (away) return { away }
  for (const number of ranking.numbers.filter(number => number !== drag.number)) {
    const chip = find(`.shelf [data-n="${number}"]`).getBoundingClientRect()
    if (event.clientY < chip.top - 8 || event.clientY > chip.bottom + 8) continue
    if (event.clientX < chip.left) return { target: number, level: false }
    if (event.clientX <= chip.right) return { target: number, level: true }
  }
  return { target: null, level: false }
}
function drop(event) {
  if (drag?.moved) {
    const { away, target, level } = dropPlace(event)
    document.activeElement.blur() // where Enter would press it instead of saving
    changeRanking(() => { away ? takeOut(drag.number) : putAt(drag.number, target, level) })
    window.addEventListener("click", swallow, true) // the click that follows is part of the drag
    setTimeout(() => window.removeEventListener("click", swallow, true))
  }
  drag = null
}
function dropNowhere() {
  if (drag?.moved) drawRanking()
  drag = null
}
function swallow(event) {
  if (!event.detail) return // a key
  event.stopImmediatePropagation()
  event.preventDefault()
}
