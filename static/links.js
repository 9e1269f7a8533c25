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
