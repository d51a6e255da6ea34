export { openBudgets, type Borrowed, type Budget, type BudgetRule, type Budgets } from './budgets.js';
