// Every page: theme, text size, times in the reader's own zone, and keys. The pages work without it.
const root = document.documentElement

const on = (type, selector, act) =>
  document.addEventListener(type, event => {
    const target = event.target.closest?.(selector)
    if (target) act(target, event)
  })

function cycle(name, values) {
  root.dataset[name] = values[(values.indexOf(root.dataset[name]) + 1) % values.length]
  localStorage.setItem(`winnow-${name}`, root.dataset[name])
}
on("click", "[data-theme-toggle]", () => {
  root.dataset.theme ??= matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"
  cycle("theme", ["light", "dark"])
})
on("click", "[data-read-toggle]", () => cycle("read", ["large", "small", "normal"]))

// Times come in UTC; people read their own. Today needs no date.
function localTimes(scope) {
  for (const time of scope.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime)
    const clock = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    const today = moment.toDateString() === new Date().toDateString()
    const day = moment.toLocaleDateString([], { day: "numeric", month: "short" })
    time.textContent = today ? clock : `${day}, ${clock}`
    time.title = moment.toLocaleString()
  }
}
document.addEventListener("DOMContentLoaded", () => localTimes(document))
document.addEventListener("htmx:afterSettle", event => localTimes(event.target))

// Somebody signed out elsewhere: show the sign-in page, not a piece of it inside this one.
document.addEventListener("htmx:beforeSwap", event => {
  if (new URL(event.detail.xhr.responseURL).pathname !== "/sign-in/") return
  event.detail.shouldSwap = false
  location.reload()
})

// The keymap is the markup: a key clicks the control that declares it. Silent while typing or with a modifier.
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select")) return
  if (event.key !== "?" && document.querySelector("[role=dialog]:popover-open")) return
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return
  const control = document.querySelector(`[aria-keyshortcuts~="${CSS.escape(event.key.toLowerCase())}"]`)
  if (!control) return
  event.preventDefault()
  control.click()
})

document.addEventListener("DOMContentLoaded", () =>
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" }))

// A second press of a button that was just pressed must not do it twice. htmx sends its own forms.
document.addEventListener("submit", event => {
  const form = event.target
  if (form.method !== "post" || event.defaultPrevented) return
  if (form.dataset.sent) event.preventDefault()
  form.dataset.sent = "yes"
})
window.addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent })
