// The judge page: the next comparison is on hand before it is needed, and what was chosen is kept until it is saved.
const find = (selector, scope = document) => scope.querySelector(selector)
const findAll = (selector, scope = document) => [...scope.querySelectorAll(selector)]
const hear = text => { find("#heard").textContent = text }

const { judge: address, person, visit, differences, again } = document.body.dataset
const editing = again !== undefined // an earlier judgement is open: its form is sent as a plain form
const work = find("#work")

/* ---------- this browser's storage, which may be full, barred or damaged ---------- */

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name))
  } catch {
    return null
  }
}
function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value))
  } catch { /* the page goes on with what it holds itself */ }
}
function forget(name) {
  try {
    localStorage.removeItem(name)
  } catch { /* then nothing was kept */ }
}
function namesFrom(prefix) {
  try {
    return Object.keys(localStorage).filter(name => name.startsWith(prefix))
  } catch {
    return []
  }
}

/* ---------- sheets: the one that is read, and the one that comes next ---------- */

let ahead = null // the sheet that comes next, if it is here
function setAhead(sheet) {
  ahead = sheet
  document.body.toggleAttribute("data-ahead", Boolean(sheet))
}
const current = () => find(".sheet", work)
const comparisonOf = sheet => sheet?.dataset.comparison
const isWaiting = () => unsent.some(entry => entry.comparison && entry.comparison === comparisonOf(current()))

function have() {
  const onHand = isWaiting() ? [ahead] : [current(), ahead]
  return onHand.map(comparisonOf).filter(Boolean).join()
}

function show(sheet) {
  if (sheet !== current()) {
    const told = find(".told", current())
    find(".told", sheet)?.remove()
    find(".bar", sheet).prepend(told)
    current().replaceWith(sheet)
  }
  setUp()
  scrollTo(0, 0)
  find("#prompt-h, #done-h").focus({ preventScroll: true })
  hear(find("h1", sheet).textContent)
}

const parse = html => new DOMParser().parseFromString(html, "text/html")

let asking = false
async function lookAhead() {
  if (ahead || asking || editing || !comparisonOf(current()) || isWaiting()) return
  asking = true
  try {
    const response = await ask(`next/?have=${have()}&visit=${visit}`)
    if (response.status !== 200) return
    const sheet = document.importNode(find(".sheet", parse(await response.text())), true)
    if (comparisonOf(sheet) !== comparisonOf(current())) setAhead(sheet)
  } catch { // it is asked for again with the next choice
  } finally {
    asking = false
    loadAnew()
  }
}

// There is nothing to judge: look again from time to time.
setInterval(async () => {
  if (!current().matches("[data-look-again]") || document.hidden) return
  try {
    const response = await ask(`next/?visit=${visit}`)
    loadAnew()
    if (response.status !== 200) return
    const sheet = document.importNode(find(".sheet", parse(await response.text())), true)
    if (comparisonOf(sheet)) show(sheet)
  } catch { /* next time, then */ }
}, 10_000)

const recallWatch = new IntersectionObserver(
  ([entry]) => document.body.classList.toggle("scrolled", !entry.isIntersecting), { rootMargin: "-44px" })

let swipeWatch = null
function watchSwipe() {
  swipeWatch?.disconnect()
  swipeWatch = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      const tab = find(`.swipe [href="#${target.id}"]`)
      if (isIntersecting) tab?.setAttribute("aria-current", "true")
      else tab?.removeAttribute("aria-current")
    }
  }, { root: find(".answers"), threshold: 0.1, rootMargin: "0px -45% 0px -45%" })
  for (const answer of findAll(".answer")) swipeWatch.observe(answer)
}

// The bar grows with what it holds; page and drawer end above it.
const barWatch = new ResizeObserver(([entry]) =>
  document.documentElement.style.setProperty("--bar", `${entry.target.offsetHeight}px`))

function setUp() {
  barWatch.disconnect()
  barWatch.observe(find(".bar"))
  recallWatch.disconnect()
  document.body.classList.remove("scrolled")
  startClock()
  const prompt = find(".prompt")
  if (!prompt) return
  recallWatch.observe(prompt)
  find(".recall").textContent = find(":scope > .source", prompt).textContent.trim().slice(0, 300)
  watchSwipe()
  for (const control of findAll("[data-plain], [data-differ], [data-apart], [data-pause]")) control.hidden = false
  for (const typed of findAll(".choose .typed")) typed.hidden = Boolean(find("select", typed))
  showPlain(document.body.classList.contains("plain"))
  showApart(document.body.classList.contains("apart"))
  restoreDraft()
  showEditDraft()
  if (differing && findAll(".answer").length === 2) mark(...findAll(".answer > .md"))
  else showDiffering(false)
  return rank()
}

/* ---------- time in sight ---------- */

let inSight = 0 // milliseconds, up to `since`
let since = null
const paused = () => find("#pause").matches(":popover-open")
function turnClock() {
  if (since !== null) inSight += performance.now() - since
  since = document.hidden || paused() ? null : performance.now()
}
function startClock() {
  turnClock()
  inSight = 0
}
document.addEventListener("visibilitychange", turnClock)
find("#pause").addEventListener("toggle", event => {
  turnClock()
  if (event.newState === "open") find("#pause-h").focus()
  else stay()
})

/* ---------- how it is read ---------- */

function showPlain(plain) {
  document.body.classList.toggle("plain", plain)
  for (const button of findAll("[data-plain]")) button.ariaPressed = plain
}
function showApart(apart) {
  document.body.classList.toggle("apart", apart)
  for (const button of findAll("[data-apart]")) button.ariaPressed = apart
}

let differing = false // the mode, for comparisons of two
let marked = null
function showDiffering(on) {
  document.body.classList.toggle("differ", on)
  for (const button of findAll("[data-differ]")) button.ariaPressed = on
}
async function mark(first, second) {
  const { mark, unmark } = await import(differences)
  if (marked) unmark(...marked)
  const compared = mark(first, second)
  marked = compared ? [first, second] : null
  showDiffering(Boolean(marked))
  tellDiffering({ words: "", sentences: "Marked by the sentence: there is too much that differs to mark single words." }[compared]
    ?? "These answers are too long to mark their differences.")
}
function tellDiffering(text) {
  find("#differing").textContent = text
  find("#differing").hidden = !text
}
async function unmarkAll() {
  if (marked) (await import(differences)).unmark(...marked)
  marked = null
  showDiffering(false)
  tellDiffering("")
}
function toggleDifferences() {
  const texts = findAll(".answer > .md")
  if (texts.length === 2) differing = !differing
  if (marked) unmarkAll()
  else if (texts.length === 2) mark(...texts)
  else askWhich(texts)
}
function askWhich(texts) {
  const picked = []
  find(".which").replaceChildren(...texts.map((text, i) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "n todo", ariaPressed: false })
    button.textContent = i + 1
    button.ariaLabel = `Answer ${i + 1}`
    button.setAttribute("aria-keyshortcuts", `${i + 1}`)
    button.addEventListener("click", () => {
      button.ariaPressed = true
      if (!picked.includes(text)) picked.push(text)
      if (picked.length < 2) return
      find("#which").hidePopover()
      mark(...picked)
    })
    return button
  }))
  find("#which").showPopover()
  find(".which button").focus()
}

document.addEventListener("click", event => {
  if (event.target.closest("[data-plain]")) showPlain(!document.body.classList.contains("plain"))
  if (event.target.closest("[data-apart]")) showApart(!document.body.classList.contains("apart"))
  if (event.target.closest("[data-differ]")) toggleDifferences()
  const tab = event.target.closest(".swipe a")
  if (!tab) return
  event.preventDefault()
  const answer = find(tab.hash)
  answer.parentElement.scrollTo({ left: answer.offsetLeft - answer.parentElement.offsetLeft, behavior: "smooth" })
})
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return
  if (document.documentElement.dataset.keys === "off" || find("[role=dialog]:popover-open")) return
  const step = { j: 1, k: -1 }[event.key]
  if (step) scrollBy({ top: step * innerHeight / 3, behavior: "smooth" })
})

/* ---------- ranking: fetched where there is something to rank ---------- */

let ranking = null
async function rank() {
  if (!ranking && find(".shelf")) {
    try {
      ranking = await import(document.body.dataset.ranking)
    } catch { // then a line can be typed
      return
    }
    ranking.begin({ find, findAll, hear, keepDraft, isEdited })
  }
  ranking?.setUp()
}

/* ---------- drafts: what is typed or half ranked outlasts a reload ---------- */

const draftName = comparison => `winnow-draft-${person}-${comparison}`
function keepDraft() {
  const form = find("#choose")
  if (!form || editing) return
  const draft = { reason: form.elements.reason?.value ?? "", ranking: form.elements.ranking?.value ?? "" }
  const name = draftName(comparisonOf(current()))
  if (draft.reason || draft.ranking) keep(name, draft)
  else forget(name)
}
function restoreDraft() {
  const draft = !editing && read(draftName(comparisonOf(current())))
  if (!draft) return
  const { reason, ranking } = find("#choose").elements
  if (reason && !reason.value) reason.value = draft.reason
  if (ranking && !ranking.value) ranking.value = draft.ranking
}
document.addEventListener("input", event => { if (event.target.closest("#choose")) keepDraft() })

/* ---------- an answer of one's own: the editor is fetched when somebody asks for it ---------- */

const editDraftName = comparison => `winnow-edit-${person}-${comparison}`
const isEdited = () => Boolean(find(".editor", current()))
function showEditDraft() {
  const sign = find("[data-edit-draft]")
  if (sign) sign.hidden = !read(editDraftName(comparisonOf(current())))
}
document.addEventListener("click", async event => {
  const link = event.target.closest("[data-edit-of]")
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
  event.preventDefault()
  find("#edit").hidePopover()
  const sheet = current()
  window.addEventListener("keydown", holdKey, true) // what is typed while the editor comes is no choice
  try {
    const { open } = await import(document.body.dataset.edit)
    if (sheet !== current() || isEdited()) return
    open(sheet, +link.dataset.editOf, {
      draftName: editDraftName(comparisonOf(sheet)),
      save: () => choose(find("#choose"), "edit"),
      closed() {
        showEditDraft()
        loadAnew()
      },
      hear,
    })
  } catch {
    hear("The editor cannot be loaded: the server cannot be reached.")
  } finally {
    window.removeEventListener("keydown", holdKey, true)
  }
})
function holdKey(event) {
  event.stopImmediatePropagation()
  event.preventDefault()
}

/* ---------- choosing ---------- */

// A held key must not judge a whole queue.
window.addEventListener("keydown", event => {
  if (event.repeat && !event.target.closest("input, textarea") && !/^(Arrow|Page)|^[jk ]$/.test(event.key)) {
    event.stopImmediatePropagation()
  }
}, true)

document.addEventListener("submit", event => {
  const button = event.submitter
  if (event.target.id === "take-back") {
    event.preventDefault()
    takeBack()
  } else if (event.target.id === "choose") {
    event.preventDefault()
    if (button?.ariaDisabled !== "true") choose(event.target, button?.value ?? "rank")
  }
}, true)

function choose(form, choice) {
  const flagged = () => find("[name=flags]:checked", form) || form.elements.reason?.value.trim()
  if (choice === "flag" && !flagged()) {
    find("[data-nothing-ticked]").hidden = false
    return
  }
  for (const open of findAll("[role=dialog]:popover-open")) open.hidePopover()
  const winner = choice === "rank" ? form.elements.ranking.value.split(">")[0] : choice
  const allTied = choice === "rank" && !form.elements.ranking.value.includes(">")
  const questions = /^\d/.test(winner) && !allTied ? findAll("[data-asks]", form) : []
  askNext(form, choice, winner, questions)
}

function askNext(form, choice, winner, [question, ...further]) {
  for (const part of findAll(".first, .others, [data-asks]", form)) part.hidden = Boolean(question) && part !== question
  if (!question) {
    for (const part of findAll("[data-asks]", form)) part.hidden = true
    send(form, choice)
    return
  }
  find("[data-winner]", question).textContent = winner.replaceAll("=", " and ")
  question.onclick = event => {
    const button = event.target.closest("button")
    if (!button) return
    if (button.matches("[data-step-back]")) {
      for (const part of findAll(".first, .others, [data-asks]", form)) part.hidden = part.matches("[data-asks]")
      return
    }
    form.elements[question.dataset.asks].value = button.value
    askNext(form, choice, winner, further)
  }
  const text = find("p", question)
  text.focus()
  hear(text.textContent)
}

/* ---------- sending: choices wait in order, in this browser's storage, until the server has them ---------- */

// Each choice has a name of its own there, so that tabs do not overwrite each other's. A tab sends what it put itself,
// and what lay there when it was opened. Two tabs may send the same choice: by its key it counts once.
const storage = `winnow-unsent-${person}-${address}`
let unsent = editing ? [] : leftByOthers() // an earlier judgement has no place for a receipt, or for what comes next
function leftByOthers() {
  const names = namesFrom(storage).sort() // in the order of choosing
  return names.map(name => ({ ...read(name), name, adopted: true })).filter(entry => entry.path)
}
const keepEntry = entry => keep(entry.name, entry)
const isKept = entry => read(entry.name) !== null
let lastNamed = 0 // milliseconds
function newName() {
  lastNamed = Math.max(Date.now(), lastNamed + 1)
  return `${storage}${lastNamed}-${newKey()}`
}
function remove(entry) {
  unsent = unsent.filter(other => other !== entry)
  forget(entry.name)
}
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")

function send(form, choice) {
  turnClock()
  form.elements.seconds.value = (inSight / 1000).toFixed(1)
  if (editing) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "choice", value: choice }))
    form.submit()
    return
  }
  const data = new FormData(form)
  data.delete("csrfmiddlewaretoken")
  data.set("choice", choice)
  const said = words(data)
  data.set("client_key", keyOf(form, said))
  put({
    comparison: comparisonOf(current()),
    path: new URL(form.action).pathname,
    body: new URLSearchParams(data).toString(),
    said,
    edited: choice === "edit",
  })
  for (const button of findAll("[name=choice]", form)) button.ariaPressed = button.value === choice
  if (ahead) {
    const next = ahead
    setAhead(null)
    show(next)
  }
  flush()
}

// What makes two submits the same: all but the key and the time.
function words(data) {
  return [...data].filter(([name]) => !["client_key", "seconds"].includes(name)).join(" ")
}

// The key by which a submit counts once. What is said otherwise on the same sheet is another one.
function keyOf(form, said) {
  const { client_key: key } = form.elements
  form.dataset.said ??= said
  if (form.dataset.said !== said) key.value = newKey()
  form.dataset.said = said
  return key.value
}

function put(entry) {
  const last = unsent.at(-1)
  if (entry.comparison && last?.comparison === entry.comparison) {
    if (last.said === entry.said) return // pressed again: the same thing counts once, even if it had arrived
    if (!last.tried) remove(last)
  }
  entry.name = newName()
  unsent.push(entry)
  keepEntry(entry)
}

function takeBack() {
  put({ path: `${address}take-back/`, body: `client_key=${newKey()}` })
  flush()
}

const PATIENCE = 20_000
async function ask(path, body = null) {
  const headers = { "X-Requested-With": "judge.js", "X-Guidelines": document.body.dataset.guidelines }
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] // signing in again, in another tab, changes it
  if (token) headers["X-CSRFToken"] = token
  if (body !== null) headers["Content-Type"] = "application/x-www-form-urlencoded"
  const options = { method: body === null ? "GET" : "POST", headers, body, signal: AbortSignal.timeout(PATIENCE) }
  const response = await fetch(path.startsWith("/") ? path : address + path, options)
  readAgain ||= response.headers.has("X-Read-Again")
  return response
}

let readAgain = false // the guidelines, or the content warning, have changed: the page loaded anew shows them
function loadAnew() {
  if (readAgain && !unsent.length && !editing && !isEdited()) location.replace(address)
}

const TRIES = 3 // after so many troubles of the server with one choice it can be given up
const WAITS = [2, 5, 10, 30] // seconds before it is tried again
let sending = false
let failures = 0
let timer = null

async function flush() {
  clearTimeout(timer)
  if (sending) return
  unsent = unsent.filter(entry => !entry.adopted || isKept(entry)) // what is gone was sent, or changed, in its own tab
  if (!unsent.length) {
    tellUnsent()
    return
  }
  sending = true
  const entry = unsent[0]
  entry.tried = true
  keepEntry(entry)
  let failure = null
  try {
    const answer = await post(entry)
    failure = answer.failure
    if (!failure) saved(entry, answer)
  } finally {
    sending = false
  }
  if (failure && unsent.includes(entry)) notSent(entry, failure) // it may have been given up meanwhile
  else {
    failures = 0
    tellUnsent()
    if (unsent.length) flush()
    else lookAhead()
    loadAnew()
  }
}

// The server's answer to a choice, and whether it took it; or why there is none.
async function post(entry) {
  try {
    const response = await ask(entry.path, `${entry.body}&have=${have()}&visit=${visit}`)
    const sentAway = response.redirected && !new URL(response.url).pathname.startsWith(address)
    if (sentAway) return { failure: { signedOut: true } }
    if (!response.ok && response.status !== 422) return { failure: { status: response.status } }
    const reply = parse(await response.text())
    const isOurs = find("#receipt", reply) && find("#tally", reply) // and not of some network's sign-in page
    return isOurs ? { reply, accepted: response.ok } : { failure: { unreadable: true } }
  } catch (error) {
    return { failure: { timeout: error.name === "TimeoutError" } }
  }
}

function saved(entry, { reply, accepted }) {
  const waiting = isWaiting()
  remove(entry)
  if (accepted && entry.comparison) forget(draftName(entry.comparison))
  if (accepted && entry.edited && !isEdited()) forget(editDraftName(entry.comparison))
  for (const id of ["receipt", "tally"]) {
    const part = document.importNode(reply.getElementById(id), true)
    find(`#${id}`).replaceWith(part)
    part.dispatchEvent(new Event("winnow:placed", { bubbles: true }))
  }
  const sheet = find(".sheet", reply) && document.importNode(find(".sheet", reply), true)
  const inFront = !entry.comparison || !accepted // taken back, or refused: it comes before what is read
  if (sheet && inFront) {
    const set = current()
    if (comparisonOf(set) && !waiting && comparisonOf(set) !== comparisonOf(sheet)) setAhead(set)
    show(sheet)
  } else if (sheet && waiting && !isEdited()) show(sheet)
  else if (sheet && comparisonOf(sheet) && comparisonOf(sheet) !== comparisonOf(current())) setAhead(sheet)
  hear(`${find("#receipt").textContent.replace(/\s+/g, " ").trim()} ${find("h1").textContent}`)
}

const REASONS = {
  403: "The server no longer knows this page; load it again.",
  404: "This project, or this comparison, is no longer open to you.",
}
const KEPT = "What you chose is kept."
const NOT_KEPT = "This browser cannot keep what you chose: leave this page open until it is sent."
function reasonOf({ signedOut, unreadable, status, timeout }) {
  if (signedOut) return "You are signed out."
  if (unreadable) return "What came back is not from Winnow: something stands between here and the server."
  if (status) return REASONS[status] ?? "The server has a problem."
  return timeout ? "The server did not answer in time." : "The server cannot be reached."
}
function notSent(entry, failure) {
  if (failure.status >= 500) entry.troubles = (entry.troubles ?? 0) + 1
  const mayNeverBeTaken = failure.status === 404 || entry.troubles >= TRIES // and the next ones wait behind it
  const reason = `${reasonOf(failure)} ${unsent.every(isKept) ? KEPT : NOT_KEPT}`
  tellUnsent(reason, { ...failure, mayNeverBeTaken })
  hear(`Not sent yet. ${reason}`)
  timer = setTimeout(flush, 1000 * WAITS[Math.min(failures++, WAITS.length - 1)])
}
function tellUnsent(reason, { signedOut = false, mayNeverBeTaken = false } = {}) {
  const line = find("#unsent")
  line.hidden = !unsent.length || !reason
  if (find("#receipt")) find("#receipt").hidden = !line.hidden
  if (line.hidden) return
  find("[data-how-many]", line).textContent = unsent.length > 1 ? `Not sent yet: ${unsent.length}.` : "Not sent yet."
  find("[data-reason]", line).textContent = reason
  find("a", line).hidden = !signedOut
  find("[data-give-up]", line).hidden = !mayNeverBeTaken
}
function giveUp() {
  remove(unsent[0])
  tellUnsent()
  flush()
}
document.addEventListener("click", event => {
  if (event.target.closest("[data-try-now]")) flush()
  if (event.target.closest("[data-give-up]")) giveUp()
})
window.addEventListener("online", flush)
document.addEventListener("visibilitychange", () => { if (!document.hidden) flush() })

/* ---------- what lies here stays this person's while the page is looked at ---------- */

const tabs = new BroadcastChannel(`winnow-judge-${person}`)
tabs.onmessage = stay // another tab was closed, and freed what they shared
function stay() {
  if (!editing && !document.hidden && !paused() && have()) ask("stay/", `have=${have()}&visit=${visit}`).catch(() => {})
}
setInterval(stay, 5 * 60_000)
window.addEventListener("pagehide", () => {
  if (editing || readAgain || !have()) return // what lies here comes back when they have read
  const data = new FormData()
  data.set("csrfmiddlewaretoken", document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "")
  data.set("visit", visit)
  navigator.sendBeacon(`${address}leave/`, data)
  tabs.postMessage("left")
})
window.addEventListener("pageshow", event => { if (event.persisted) stay() })

/* ---------- begin ---------- */

const ready = setUp()
if (unsent.length) flush()
else {
  await ready
  lookAhead()
}
