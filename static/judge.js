// The judge page: the ranking line, tabs that follow the swipe, and choices that outlast a lost connection.
const find = (selector, scope = document) => scope.querySelector(selector)
const findAll = (selector, scope = document) => [...scope.querySelectorAll(selector)]
const hear = text => { find("#heard").textContent = text }

// The server counts "today" by the reader's own midnight.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone) document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`

/* ---------- what is on the page now: at load, and after each swap ---------- */

let shown = null // the prompt on the page: a swap that brings no other one moves nothing

const promptWatch = new IntersectionObserver(
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
  if (find(".bar")) barWatch.observe(find(".bar"))
  promptWatch.disconnect()
  document.body.classList.remove("scrolled")
  const prompt = find(".prompt")
  if (prompt) {
    promptWatch.observe(prompt)
    find(".recall").textContent = find(":scope > .source", prompt).textContent.trim().slice(0, 300)
    watchSwipe()
  }
  for (const button of findAll("[data-plain]")) button.hidden = false
  showPlain(document.body.classList.contains("plain"))
  setUpRanking()
}

function arrive() {
  setUp()
  const heading = find("#prompt-h, #done-h")
  const now = find("#work [name=seen]")?.value ?? "nothing"
  if (now === shown) return
  shown = now
  scrollTo(0, 0)
  heading.focus({ preventScroll: true })
  const receipt = find(".receipt:not([hidden]) > p")?.textContent ?? ""
  hear(`${receipt} ${find("h1").textContent}`.trim())
}

document.addEventListener("DOMContentLoaded", () => {
  shown = find("#work [name=seen]")?.value ?? "nothing"
  setUp()
})
document.addEventListener("htmx:afterSettle", event => { if (event.target.id === "work") arrive() })

function showPlain(plain) {
  document.body.classList.toggle("plain", plain)
  for (const button of findAll("[data-plain]")) button.ariaPressed = plain
}
document.addEventListener("click", event => {
  if (event.target.closest("[data-plain]")) showPlain(!document.body.classList.contains("plain"))
  const tab = event.target.closest(".swipe a")
  if (!tab) return
  event.preventDefault()
  const answer = find(tab.hash)
  answer.parentElement.scrollTo({ left: answer.offsetLeft - answer.parentElement.offsetLeft, behavior: "smooth" })
})

/* ---------- sending ---------- */

let sending = false
let last = null // the form and button of the last submit
let unsent = null // what it said, if it did not arrive

function words(form, button) {
  const data = new FormData(form)
  data.delete("client_key")
  data.delete("csrfmiddlewaretoken")
  return `${button?.value} ${new URLSearchParams(data)}`
}
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")
}

// A held key must not judge a whole queue.
window.addEventListener("keydown", event => {
  if (event.repeat && !event.target.closest("input, textarea") && !/^(Arrow|Page)|^ $/.test(event.key)) {
    event.stopImmediatePropagation()
  }
}, true)

document.addEventListener("submit", event => {
  if (!event.target.closest("#work")) return
  if (sending || event.submitter?.ariaDisabled === "true") {
    event.preventDefault()
    event.stopPropagation()
    return
  }
  const form = event.target
  last = { form, button: event.submitter }
  // The same thing once more counts once, even if it had arrived; another choice is a choice of its own.
  if (unsent !== null && unsent !== words(form, event.submitter)) form.elements.client_key.value = newKey()
  for (const button of findAll("[name=choice]", form)) if (button !== event.submitter) button.removeAttribute("aria-pressed")
  if (event.submitter?.name === "choice" && event.submitter.value !== "rank") event.submitter.ariaPressed = "true"
}, true)

const isOurs = event => event.detail.requestConfig?.elt.matches("#work form")

document.addEventListener("htmx:configRequest", event => {
  // Signing in again, in another tab, changes the token.
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1]
  if (!token || event.detail.verb === "get") return
  event.detail.headers["X-CSRFToken"] = token
  event.detail.parameters.csrfmiddlewaretoken = token
})
document.addEventListener("htmx:beforeRequest", event => { if (isOurs(event)) sending = true })
document.addEventListener("htmx:afterRequest", event => { if (isOurs(event)) sending = false })
// Before winnow.js hears of it, which loads the page anew when somebody is signed out: a choice must not go with it.
document.addEventListener("htmx:beforeSwap", event => {
  if (!isOurs(event)) return
  if (new URL(event.detail.xhr.responseURL).pathname.startsWith(location.pathname)) {
    if (event.detail.shouldSwap) unsent = null
    return
  }
  event.detail.shouldSwap = false
  event.stopPropagation()
  notSent("You are signed out.", true)
}, true)

const REASONS = {
  403: "The server no longer knows this page; load it again.",
  404: "This project, or this comparison, is no longer open to you.",
}
document.addEventListener("htmx:sendError", event => { if (isOurs(event)) notSent("The server cannot be reached.") })
document.addEventListener("htmx:timeout", event => { if (isOurs(event)) notSent("The server did not answer in time.") })
document.addEventListener("htmx:responseError", event => {
  if (isOurs(event)) notSent(REASONS[event.detail.xhr.status] ?? "The server has a problem.")
})

function notSent(reason, signedOut = false) {
  sending = false
  unsent = words(last.form, last.button)
  const line = find("#unsent")
  find("[data-reason]", line).textContent = `${reason} Your choice is kept.`
  find("a", line).hidden = !signedOut
  line.previousElementSibling.hidden = true
  line.hidden = false
  hear(`Not sent yet. ${reason}`)
}
document.addEventListener("click", event => {
  if (event.target.closest("[data-try-again]")) last.button.click()
})

/* ---------- ranking: the line is kept as it is sent, "3>1=4" ---------- */

const ORDINALS = ["Best", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th"]
let ranking = null // the answers placed so far, the signs between them, whether the next one ties with the last

const shelf = () => find(".shelf")

function setUpRanking() {
  ranking = null
  if (!shelf()) return
  const input = find("[name=ranking]")
  const placed = /^[1-8]([>=][1-8])*$/.test(input.value) ? input.value : ""
  ranking = { numbers: placed.match(/\d/g) ?? [], signs: placed.match(/[>=]/g) ?? [], tie: false }
  find(".typed").hidden = true
  shelf().hidden = false
  drawRanking()
}

function place(number) {
  const { numbers, signs } = ranking
  const at = numbers.indexOf(number)
  if (at < 0) {
    if (numbers.length) signs.push(ranking.tie ? "=" : ">")
    numbers.push(number)
  } else {
    // What stood around it is a tie only if both signs were.
    const around = signs.splice(Math.max(at - 1, 0), at > 0 && at < numbers.length - 1 ? 2 : 1)
    numbers.splice(at, 1)
    if (around.length === 2) signs.splice(at - 1, 0, around.includes(">") ? ">" : "=")
  }
  ranking.tie = false
}
function takeLast() {
  if (ranking.tie) ranking.tie = false
  else {
    ranking.numbers.pop()
    ranking.signs.pop()
  }
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
  const line = find("[name=ranking]").value.replaceAll(">", " better than ").replaceAll("=", " ties with ")
  const left = +shelf().dataset.of - ranking.numbers.length
  hear(`${line || "Nothing placed"}. ${left ? `${left} to place` : "All are placed"}`)
}
document.addEventListener("click", event => {
  const { n, at } = event.target.closest(".shelf button")?.dataset ?? {}
  // A click leaves the focus on the button, where Enter would press it again instead of saving.
  if ((n || at) && event.detail) document.activeElement.blur()
  if (n) changeRanking(() => place(n))
  else if (at === "next") changeRanking(() => { ranking.tie = false })
  else if (at) changeRanking(() => { ranking.signs[at] = ranking.signs[at] === "=" ? ">" : "=" })
})
document.addEventListener("keydown", event => {
  if (!ranking || event.ctrlKey || event.metaKey || event.altKey || find("[role=dialog]:popover-open")) return
  if (event.target.closest("input, textarea, select")) return
  if (event.key === "Backspace") changeRanking(takeLast)
  if (event.key === "=" || event.key === ">") {
    const open = ranking.numbers.length && ranking.numbers.length < +shelf().dataset.of
    changeRanking(() => { ranking.tie = open && event.key === "=" })
  }
})
