// GraphiQL with prefilled tabs. Plain JavaScript and no build: React, ReactDOM and GraphiQL are globals of their UMD files.
(() => {
  const { createElement } = React;
  const endpoint = location.pathname;
  // Of this browser tab: a reload keeps what was written, a new visit begins with the prefilled tabs.
  const storage = sessionStorage;
  const listeners = new Set();

  async function ask(params, headers = {}) {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json',
        ...headers,
      },
      body: JSON.stringify(params),
    });
    return response.json();
  }

  /** Every answer passes here; the session below looks at it. */
  async function fetcher(params, options) {
    // For a moment after a change of tabs GraphiQL still names the operation of the tab before.
    const { operationName, ...rest } = params;
    const named = operationName && new RegExp(`\\b${operationName}\\b`).test(params.query);
    const answer = await ask(named ? params : rest, options?.headers);
    if (answer?.data) for (const listen of listeners) listen(answer.data);
    return answer;
  }

  /** After a log-in its token goes into the headers of all other tabs; a profile's answer gives the Follow tab an id. */
  function Session({ openAt }) {
    const editor = GraphiQL.React.useEditorContext({ nonNull: true });
    const latest = React.useRef(editor);
    latest.current = editor;
    const [who, setWho] = React.useState(storage.getItem('tributary:who'));

    // Changing tabs writes into the editors, so all of them have to be there.
    const isReady = Boolean(
      editor.queryEditor && editor.variableEditor && editor.headerEditor && editor.responseEditor,
    );
    React.useEffect(() => {
      if (!isReady) return;
      const token = storage.getItem('tributary:token');
      if (token) {
        changeOthers(editor, (tab) => ({ ...tab, headers: headersWith(tab.headers, token) }));
        editor.headerEditor.setValue(headersWith(editor.headerEditor.getValue(), token));
      }
      if (openAt > 0) editor.changeTab(openAt);
    }, [isReady]);

    React.useEffect(() => {
      const listen = (data) => {
        const session = data.logIn ?? data.signUp;
        if (session?.token) {
          const handle = session.user?.handle ?? 'somebody';
          storage.setItem('tributary:token', session.token);
          storage.setItem('tributary:who', handle);
          setWho(handle);
          changeOthers(latest.current, (tab) => ({ ...tab, headers: headersWith(tab.headers, session.token) }));
        }
        const follower = data.userByHandle?.followers?.edges?.find((edge) => edge.node)?.node;
        if (follower?.id) {
          const isEmpty = (tab) => tab.title === 'Follow' && /"userId":\s*""/.test(tab.variables ?? '');
          changeOthers(latest.current, (tab) =>
            isEmpty(tab) ? { ...tab, variables: JSON.stringify({ userId: follower.id }) } : tab,
          );
        }
      };
      listeners.add(listen);
      return () => listeners.delete(listen);
    }, []);

    const text = who
      ? `Logged in as ${who}: the token is in the headers of the other tabs.`
      : 'Nobody is logged in: run LogIn to ask as alice.';
    return createElement('div', { className: 'session', 'data-session': who ?? '' }, text);
  }

  /** GraphiQL has no way to write into a tab that is not shown, but it takes a new order of tabs as they are given. */
  function changeOthers(editor, change) {
    editor.moveTab(editor.tabs.map((tab, index) => (index === editor.activeTabIndex ? tab : change(tab))));
  }

  function headersWith(text, token) {
    let headers = {};
    try {
      headers = JSON.parse(text || '{}');
    } catch {
      // What was typed there is no JSON yet; a header that works is worth more than it.
    }
    return JSON.stringify({ ...headers, authorization: `Bearer ${token}` }, null, 2);
  }

  async function defaultTabs() {
    const query = new URLSearchParams(location.search).get('query');
    if (query)
      return { tabs: [{ query, variables: new URLSearchParams(location.search).get('variables') ?? '' }], openAt: 0 };
    // The same page stands before every supergraph; only the social one knows these operations.
    const answer = await ask({ query: '{ __schema { queryType { fields { name } } } }' }).catch(() => undefined);
    const fields = answer?.data?.__schema?.queryType?.fields?.map((field) => field.name) ?? [];
    return fields.includes('userByHandle') && fields.includes('homeTimeline')
      ? { tabs: SOCIAL_TABS, openAt: 1 }
      : { tabs: undefined, openAt: 0 };
  }

  async function open() {
    const known = storage.getItem('graphiql:tabState') !== null;
    const { tabs, openAt } = await defaultTabs();
    const props = {
      fetcher,
      storage,
      defaultTabs: tabs,
      shouldPersistHeaders: true,
      showPersistHeadersSettings: false,
      defaultEditorToolsVisibility: 'variables',
      inputValueDeprecation: true,
      schemaDescription: true,
    };
    const element = createElement(
      GraphiQL,
      props,
      createElement(GraphiQL.Logo, null, 'Tributary'),
      createElement(GraphiQL.Footer, null, createElement(Session, { openAt: known ? 0 : openAt })),
    );
    const place = document.getElementById('playground');
    place.textContent = '';
    ReactDOM.createRoot(place).render(element);
  }

  void open();
})();
