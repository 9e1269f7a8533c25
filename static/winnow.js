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
on("click", "[data-keys-toggle]", () => cycle("keys", ["off", "on"]))
const showKeys = () => {
  for (const button of document.querySelectorAll("[data-keys-toggle]")) button.ariaPressed = root.dataset.keys === "off"
}
document.addEventListener("DOMContentLoaded", showKeys)
on("click", "[data-keys-toggle]", showKeys)

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
// The server asks for it where a day is meant: "12 today" is by the reader's own midnight.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
if (zone) document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`
document.addEventListener("htmx:afterSettle", event => localTimes(event.target))
document.addEventListener("winnow:placed", event => localTimes(event.target))

// Somebody signed out elsewhere: show the sign-in page, not a piece of it inside this one.
document.addEventListener("htmx:beforeSwap", event => {
  if (new URL(event.detail.xhr.responseURL).pathname !== "/sign-in/") return
  event.detail.shouldSwap = false
  location.reload()
})

// The keymap is the markup: a key clicks the control that declares it, in the open dialog if there is one. Silent while
// typing, with a modifier, or where single keys are turned off.
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || root.dataset.keys === "off") return
  if (event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select")) {
    if (event.key === "Escape") event.target.blur()
    return
  }
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return
  const scope = document.querySelector("[role=dialog]:popover-open") ?? document
  const declared = scope.querySelectorAll(`[aria-keyshortcuts~="${CSS.escape(event.key.toLowerCase())}"]`)
  const control = [...declared].find(one => !one.closest("[hidden], [popover]:not(:popover-open)"))
  if (!control) return
  event.preventDefault()
  if (control.matches("textarea")) control.focus()
  else control.click()
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

// A link that a person or a model wrote opens after a question that says where it goes.
{
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties)
    element.append(...children)
    return element
  }

  // The parser of addresses leaves ASCII alone: other letters of a host become punycode, those of a path per cent signs.
  function spelled(address) {
    const { href, host, username, password, protocol } = new URL(address)
    const named = username || password ? href.indexOf("@") + 1 : 0
    const start = host ? named || protocol.length + 2 : 0
    return [href.slice(0, start), make("b", { textContent: host }), href.slice(start + host.length)]
  }

  function ask(link) {
    const { host, protocol } = new URL(link.href)
    const go = make("a", { className: "button", href: link.href, target: "_blank", rel: "noopener noreferrer", textContent: "Open in a new tab" })
    const stay = make("button", { type: "button", autofocus: true, textContent: "Stay here" })
    const heading = make("h2", { id: "leaving-h", textContent: protocol === "mailto:" ? "Write to this address?" : `Go to ${host}?` })
    const dialog = make("dialog", { className: "leaving" }, heading,
      make("p", { textContent: "A link in this text leads there. Nobody has checked it." }),
      make("p", { className: "address", dir: "ltr" }, ...spelled(link.href)),
      make("p", { className: "does" }, stay, go))
    dialog.setAttribute("aria-labelledby", heading.id)
    stay.addEventListener("click", () => dialog.close())
    go.addEventListener("click", () => dialog.close())
    dialog.addEventListener("close", () => dialog.remove()) // the browser has given the focus back to the link
    document.body.append(dialog)
    dialog.showModal()
  }

  // The keys of the page sleep meanwhile.
  window.addEventListener("keydown", event => {
    if (document.querySelector("dialog.leaving[open]")) event.stopImmediatePropagation()
  }, true)

  // Any button of the mouse, and Enter; before anything else hears of it.
  for (const type of ["click", "auxclick"]) {
    window.addEventListener(type, event => {
      const link = event.target.closest?.(".md a[href]")
      if (!link || event.button === 2) return
      event.preventDefault()
      event.stopImmediatePropagation()
      if (URL.canParse(link.href)) ask(link) // else it leads nowhere
    }, true)
  }
}
