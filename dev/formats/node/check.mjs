// Judges the messages that it reads as JSON: {slack: {name: message}, teams: {name: message}}.
// Exit code 3: a message is not as it should be. Each check first shows that it can fail.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { Window } from "happy-dom";
import MarkdownIt from "markdown-it";
import ts from "typescript";

const window = new Window();
Object.assign(globalThis, { window, document: window.document });
for (const name of Object.getOwnPropertyNames(window))
  if (name.startsWith("HTML") && !(name in globalThis)) globalThis[name] = window[name];
// Its modules are not written for Node.js; its bundle is.
const cards = createRequire(import.meta.url)("adaptivecards/dist/adaptivecards.js");

const here = dirname(fileURLToPath(import.meta.url));
const messages = JSON.parse(readFileSync(0, "utf8"));
let good = true;

function report(name, faults) {
  console.log(`${faults.length ? "✗" : "✓"} ${name}`);
  for (const fault of faults) console.log(`    ${fault}`);
  good &&= faults.length === 0;
}

function mustFail(what, faults) {
  if (faults.length === 0) throw new Error(`the check of ${what} finds nothing`);
}

// Slack: the message as an object literal, in which the compiler accepts no unknown member.
function compiled(message) {
  const source = `import type { KnownBlock } from "@slack/types";
    interface Message { text: string; mrkdwn: boolean; blocks: KnownBlock[]; unfurl_links: boolean; unfurl_media: boolean; }
    export const message: Message = ${JSON.stringify(message, null, 1)};`;
  const file = `${here}/message.ts`;
  writeFileSync(file, source);
  const options = {
    strict: true, noEmit: true, module: ts.ModuleKind.NodeNext, types: [],
    moduleResolution: ts.ModuleResolutionKind.NodeNext, skipLibCheck: true,
  };
  const program = ts.createProgram([file], options);
  return ts.getPreEmitDiagnostics(program).map((diagnostic) =>
    ts.flattenDiagnosticMessageText(diagnostic.messageText, " "));
}

const anyMessage = Object.values(messages.slack)[0];
mustFail("an unknown block", compiled({ ...anyMessage, blocks: [{ type: "paragraph" }] }));
mustFail("an unknown member", compiled({ ...anyMessage, link_names: true }));
for (const [name, message] of Object.entries(messages.slack)) report(name, compiled(message));

// Teams: rendered with a markdown parser that makes links of everything that looks like one.
const markdown = new MarkdownIt({ html: false, linkify: true });
cards.AdaptiveCard.onProcessMarkdown = (text, result) => {
  result.outputHtml = markdown.renderInline(text);
  result.didProcess = true;
};

function* strings(value) {
  if (Array.isArray(value)) for (const one of value) yield* strings(one);
  else if (value && typeof value === "object")
    for (const [key, one] of Object.entries(value))
      if (key === "text" && typeof one === "string") yield one;
      else yield* strings(one);
}

function rendered(message) {
  const faults = [];
  const [{ contentType, content }] = message.attachments;
  if (contentType !== "application/vnd.microsoft.card.adaptive") faults.push(contentType);
  const context = new cards.SerializationContext(cards.Versions.v1_5);
  const card = new cards.AdaptiveCard();
  card.parse(content, context);
  for (let i = 0; i < context.eventCount; i++) faults.push(context.getEventAt(i).message);
  for (const event of card.validateProperties().validationEvents) faults.push(event.message);
  const html = card.render();
  for (const tag of ["a", "b", "i", "em", "strong", "s", "code", "h1", "li", "script", "img"])
    for (const element of html.querySelectorAll(tag)) faults.push(`<${tag}>: ${element.textContent}`);
  const shown = html.textContent;
  for (const text of strings(content.body))
    if (!shown.includes(text)) faults.push(`not shown as it is: ${text}`);
  return faults;
}

const someCard = (element) => ({
  attachments: [{
    contentType: "application/vnd.microsoft.card.adaptive",
    content: { type: "AdaptiveCard", version: "1.5", body: [element] },
  }],
});
mustFail("a link", rendered(someCard({ type: "TextBlock", text: "[login](https://evil.test)" })));
mustFail("a bare link", rendered(someCard({ type: "TextBlock", text: "https://evil.test" })));
mustFail("bold text", rendered(someCard({ type: "TextBlock", text: "**B**" })));
mustFail("an unknown element", rendered(someCard({ type: "TextBlok", text: "x" })));
mustFail("a date", rendered(someCard({
  type: "RichTextBlock",
  inlines: [{ type: "TextRun", text: "{{DATE(2026-01-01T00:00:00Z)}}" }],
})));
for (const [name, message] of Object.entries(messages.teams)) report(name, rendered(message));

process.exit(good ? 0 : 3);
