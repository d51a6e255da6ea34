/** A long text's beginning and an ellipsis. Never half of a surrogate pair: strict readers of JSON refuse the whole answer for one. */
export function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? `${text.slice(0, lengthMax).replace(/[\ud800-\udbff]$/, '')}…` : text;
}
